//! Request bodies as the OpenAPI document shows them. Decoding is `body`'s business, since it names every wrong field;
//! a test holds the two together.

#![expect(dead_code, reason = "the documented form of bodies that `body` decodes")]

use std::collections::BTreeMap;

use utoipa::ToSchema;

/// The parameters of every video.
#[derive(ToSchema)]
#[schema(as = VideoParametersInput)]
pub(crate) struct VideoParametersBody {
    /// Any language; English and Chinese are tested.
    #[schema(min_length = 1, max_length = 32000, example = "A red ball rolls over green grass.")]
    prompt: String,
    /// A model id, `auto` or `pro`.
    #[schema(default = "auto", example = "auto")]
    model: Option<String>,
    /// One of the model's sizes; not together with a differing `resolution` or `aspect_ratio`.
    #[schema(example = "224x128")]
    size: Option<String>,
    /// A row of the model's size table; default: its best.
    #[schema(example = "128p")]
    resolution: Option<String>,
    /// A column of the model's size table.
    #[schema(example = "16:9")]
    aspect_ratio: Option<String>,
    /// Take the shape of the picture. Default: true when neither `size` nor `aspect_ratio` is given.
    adaptive_resolution: Option<bool>,
    /// How the picture is fitted when the size is not adaptive: `crop`, `pad` or `stretch`.
    #[schema(default = "crop")]
    image_fit: Option<String>,
    /// Nominal length, one of the model's; a string or an integer. Not together with `num_frames`.
    #[schema(example = "1")]
    seconds: Option<String>,
    /// `4k + 1`.
    #[schema(example = 17)]
    num_frames: Option<i64>,
    #[schema(minimum = 1, maximum = 4, example = 1)]
    num_steps: Option<i64>,
    /// Drawn if absent.
    #[schema(minimum = 0, maximum = 4294967295_i64)]
    seed: Option<i64>,
    /// Largest noise level.
    #[schema(minimum = 1, maximum = 10000)]
    sigma_max: Option<f64>,
    /// Deterministic sampler. Default: true with a picture.
    ode: Option<bool>,
    /// Noise level at which the low-noise expert takes over; models with two experts and a picture only.
    #[schema(exclusive_minimum = 0, exclusive_maximum = 1)]
    boundary: Option<f64>,
    /// `sagesla`, `sla` or `original`, as deployed.
    attention_type: Option<String>,
    /// Share of key blocks that sparse attention looks at.
    #[schema(minimum = 0.01, maximum = 1)]
    sla_topk: Option<f64>,
    /// int8 linear layers; null is the deployment's choice.
    quant_linear: Option<bool>,
    #[schema(default = true)]
    normalize_prompt: Option<bool>,
    #[schema(minimum = 3600, maximum = 2592000, default = 86400)]
    asset_ttl_seconds: Option<i64>,
    /// HTTPS.
    #[schema(max_length = 2048)]
    callback_url: Option<String>,
    /// At most 16 pairs of strings.
    metadata: Option<BTreeMap<String, String>>,
}

/// A video from text, or from a picture if `input_reference` is given.
#[derive(ToSchema)]
pub(crate) struct CreateVideoBody {
    #[serde(flatten)]
    parameters: VideoParametersBody,
    /// The first frame: a file part, or `{"image_url"}`, or `{"file_id"}`.
    #[schema(value_type = Option<Object>)]
    input_reference: Option<String>,
}

/// A video from text.
#[derive(ToSchema)]
pub(crate) struct GenerateVideoBody {
    #[serde(flatten)]
    parameters: VideoParametersBody,
    /// Answer when the job is over, or after this many seconds.
    #[schema(minimum = 0, maximum = 60)]
    wait: Option<i64>,
    /// Answer with the job's events as they come.
    #[schema(default = false)]
    stream: Option<bool>,
}

/// A video from a picture.
#[derive(ToSchema)]
pub(crate) struct FromImageBody {
    #[serde(flatten)]
    parameters: VideoParametersBody,
    /// The first frame: a file part or a data URL.
    #[schema(example = "data:image/png;base64,…")]
    image: String,
    /// Answer when the job is over, or after this many seconds.
    #[schema(minimum = 0, maximum = 60)]
    wait: Option<i64>,
    /// Answer with the job's events as they come.
    #[schema(default = false)]
    stream: Option<bool>,
}

/// A new prompt for an earlier video; every other parameter may be overridden too.
#[derive(ToSchema)]
pub(crate) struct RemixVideoBody {
    #[serde(flatten)]
    parameters: VideoParametersBody,
}

/// A file to keep for a while.
#[derive(ToSchema)]
pub(crate) struct CreateFileBody {
    /// The file part.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    /// `vision` (a picture) or `user_data`.
    #[schema(example = "vision")]
    purpose: String,
    expires_after: Option<ExpiresAfter>,
}

/// How long a file is kept; without it a day.
#[derive(ToSchema)]
pub(crate) struct ExpiresAfter {
    #[schema(pattern = "^created_at$", example = "created_at")]
    anchor: String,
    #[schema(minimum = 3600, maximum = 2592000, example = 86400)]
    seconds: i64,
}

/// A webhook endpoint. On creation `url` and `events` are required; on an update what is absent stays.
#[derive(ToSchema)]
pub(crate) struct WebhookEndpointBody {
    /// HTTPS, public.
    #[schema(max_length = 2048, example = "https://example.com/hooks/wanserve")]
    url: Option<String>,
    /// `video.completed`, `video.failed`, `video.in_progress`.
    #[schema(example = json!(["video.completed", "video.failed"]))]
    events: Option<Vec<String>>,
    #[schema(max_length = 512)]
    description: Option<String>,
    #[schema(default = true)]
    enabled: Option<bool>,
}

/// How long the old secret signs besides the new one.
#[derive(ToSchema)]
pub(crate) struct RotateSecretBody {
    #[schema(minimum = 0, maximum = 604800, default = 86400)]
    overlap_seconds: Option<i64>,
}
