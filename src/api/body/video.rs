//! The parameters of a video, taken from a body by their types. What their values may be is the domain's business.

use super::fields::Fields;
use crate::domain::request::{BadRequest, VideoRequest};

/// Every parameter, in schema order.
#[cfg(test)]
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

/// Takes all parameters of a video.
pub(crate) fn take_video(fields: &mut Fields) -> Result<VideoRequest, BadRequest> {
    let request = VideoRequest {
        prompt: fields.text("prompt")?,
        model: fields.text("model")?,
        size: fields.text("size")?,
        resolution: fields.text("resolution")?,
        aspect_ratio: fields.text("aspect_ratio")?,
        adaptive_resolution: fields.boolean("adaptive_resolution")?,
        image_fit: fields.text("image_fit")?,
        seconds: fields.text_or_number("seconds")?,
        num_frames: fields.integer("num_frames")?,
        num_steps: fields.integer("num_steps")?,
        seed: fields.integer("seed")?,
        sigma_max: fields.number("sigma_max")?,
        ode: fields.boolean("ode")?,
        boundary: fields.number("boundary")?,
        attention_type: fields.text("attention_type")?,
        sla_topk: fields.number("sla_topk")?,
        quant_linear: fields.boolean("quant_linear")?,
        normalize_prompt: fields.boolean("normalize_prompt")?,
        asset_ttl_seconds: fields.integer("asset_ttl_seconds")?,
        callback_url: fields.text("callback_url")?,
        metadata: fields.texts("metadata")?,
    };
    let reason =
        "the distilled models have no guidance, no audio and no batches, and always make 16 frames a second";
    fields.refuse(&NOT_OFFERED, reason)?;
    Ok(request)
}
