//! The parameters of a video, taken from a body by their types. What their values may be is the domain's business.

use super::faults::Faults;
use super::fields::Fields;
use crate::domain::request::VideoRequest;

/// Every parameter, in schema order.
pub(crate) const VIDEO_FIELDS: [&str; 21] = [
    "prompt",
    "model",
    "size",
    "resolution",
    "aspect_ratio",
    "adaptive_resolution",
    "image_fit",
    "seconds",
    "num_frames",
    "num_steps",
    "seed",
    "sigma_max",
    "ode",
    "boundary",
    "attention_type",
    "sla_topk",
    "quant_linear",
    "normalize_prompt",
    "asset_ttl_seconds",
    "callback_url",
    "metadata",
];

/// Known from other services, and not here for a reason.
const NOT_OFFERED: [&str; 5] = ["negative_prompt", "guidance_scale", "fps", "n", "audio"];

/// Takes all parameters of a video; one of a wrong type is noted and counts as absent.
pub(crate) fn take_video(fields: &mut Fields, faults: &mut Faults) -> VideoRequest {
    let request = VideoRequest {
        prompt: faults.keep(fields.text("prompt")).flatten(),
        model: faults.keep(fields.text("model")).flatten(),
        size: faults.keep(fields.text("size")).flatten(),
        resolution: faults.keep(fields.text("resolution")).flatten(),
        aspect_ratio: faults.keep(fields.text("aspect_ratio")).flatten(),
        adaptive_resolution: faults.keep(fields.boolean("adaptive_resolution")).flatten(),
        image_fit: faults.keep(fields.text("image_fit")).flatten(),
        seconds: faults.keep(fields.text_or_number("seconds")).flatten(),
        num_frames: faults.keep(fields.integer("num_frames")).flatten(),
        num_steps: faults.keep(fields.integer("num_steps")).flatten(),
        seed: faults.keep(fields.integer("seed")).flatten(),
        sigma_max: faults.keep(fields.number("sigma_max")).flatten(),
        ode: faults.keep(fields.boolean("ode")).flatten(),
        boundary: faults.keep(fields.number("boundary")).flatten(),
        attention_type: faults.keep(fields.text("attention_type")).flatten(),
        sla_topk: faults.keep(fields.number("sla_topk")).flatten(),
        quant_linear: faults.keep(fields.boolean("quant_linear")).flatten(),
        normalize_prompt: faults.keep(fields.boolean("normalize_prompt")).flatten(),
        asset_ttl_seconds: faults.keep(fields.integer("asset_ttl_seconds")).flatten(),
        callback_url: faults.keep(fields.text("callback_url")).flatten(),
        metadata: faults.keep(fields.texts("metadata")).flatten(),
    };
    let reason =
        "the distilled models have no guidance, no audio and no batches, and always make 16 frames a second";
    faults.keep(fields.refuse(&NOT_OFFERED, reason));
    request
}
