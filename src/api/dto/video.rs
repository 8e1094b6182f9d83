//! The video job object: one shape for creates, reads, lists, events and waits.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::asset::{Asset, InputImage};
use crate::domain::job::JobState;
use crate::domain::stage::Timings;
use crate::domain::usage::Usage;
use crate::domain::video::{FRAMES_PER_SECOND, FrameCount, ImageFit, VideoSpec};
use crate::domain::warning::Warning;
use crate::jobs::JobView;

/// A video job.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Video)]
pub(crate) struct VideoObject {
    #[schema(example = "video_0190f0c4a1b27c3c9d1e5b6f7a8b9c0d")]
    id: String,
    #[schema(value_type = String, pattern = "^video$", example = "video")]
    object: &'static str,
    status: VideoStatus,
    /// Percent; 100 if and only if completed.
    #[schema(minimum = 0, maximum = 100)]
    progress: u8,
    /// The model that runs the job.
    model: String,
    /// As submitted.
    #[schema(required)]
    prompt: Option<String>,
    #[schema(value_type = String, pattern = "^[0-9]+x[0-9]+$", example = "224x128")]
    size: String,
    /// Nominal length, `(frames - 1) / 16`.
    #[schema(example = "2")]
    seconds: String,
    /// Unix seconds.
    created_at: u64,
    /// Set on completion only.
    #[schema(required)]
    completed_at: Option<u64>,
    /// When the assets vanish.
    #[schema(required)]
    expires_at: Option<u64>,
    /// Set on failure only.
    #[schema(required)]
    error: Option<VideoError>,
    #[schema(required)]
    remixed_from_video_id: Option<String>,
    /// `text_to_video`, `image_to_video` or `remix`.
    #[schema(value_type = String)]
    operation: &'static str,
    /// The model as the caller named it.
    #[schema(required)]
    requested_model: Option<String>,
    #[schema(required)]
    source_video_id: Option<String>,
    /// What it is doing; null when it is over.
    #[schema(required, value_type = Option<String>)]
    stage: Option<&'static str>,
    /// Execution attempt, from 1.
    #[schema(minimum = 1)]
    attempt: u32,
    /// From 1, while queued.
    #[schema(required)]
    queue_position: Option<u64>,
    /// Estimated seconds until it is over.
    #[schema(required)]
    eta_seconds: Option<f64>,
    /// When a worker first took it, Unix seconds.
    #[schema(required)]
    started_at: Option<u64>,
    cancel_requested: bool,
    parameters: Parameters,
    #[schema(required)]
    input_image: Option<InputImageObject>,
    warnings: Vec<WarningObject>,
    assets: Vec<AssetObject>,
    #[schema(required)]
    usage: Option<UsageObject>,
    #[schema(required)]
    timings: Option<TimingsObject>,
    /// Without its query.
    #[schema(required)]
    callback_url: Option<String>,
    metadata: BTreeMap<String, String>,
    project_id: String,
}

/// The states of a job; there is no fifth.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum VideoStatus {
    Queued,
    InProgress,
    Completed,
    Failed,
}

/// Why a job failed.
#[derive(Debug, Serialize, ToSchema)]
struct VideoError {
    #[schema(example = "cancelled")]
    code: String,
    message: String,
}

/// Every parameter after defaulting; null where one does not apply.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = VideoParameters)]
struct Parameters {
    resolution: &'static str,
    #[schema(required, value_type = Option<String>)]
    aspect_ratio: Option<&'static str>,
    num_frames: u32,
    fps: u32,
    num_steps: u32,
    seed: u32,
    sigma_max: f64,
    ode: bool,
    #[schema(required)]
    boundary: Option<f64>,
    #[schema(required)]
    adaptive_resolution: Option<bool>,
    #[schema(required, value_type = Option<String>)]
    image_fit: Option<&'static str>,
    #[schema(value_type = String)]
    attention_type: &'static str,
    #[schema(required)]
    sla_topk: Option<f64>,
    quant_linear: bool,
    normalize_prompt: bool,
    /// The text that is encoded.
    effective_prompt: String,
}

/// The stored first frame.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InputImage)]
struct InputImageObject {
    #[schema(required)]
    file_id: Option<String>,
    sha256: String,
    width: u32,
    height: u32,
    content_type: String,
}

/// A remark on the request.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Warning)]
struct WarningObject {
    #[schema(value_type = String, example = "prompt_not_english")]
    code: crate::domain::warning::WarningCode,
    message: String,
    #[schema(required)]
    param: Option<String>,
}

/// A file that can be downloaded.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Asset)]
struct AssetObject {
    /// `video`, `thumbnail` or `spritesheet`.
    #[schema(value_type = String)]
    variant: &'static str,
    #[schema(value_type = String)]
    content_type: &'static str,
    bytes: u64,
    sha256: String,
    width: u32,
    height: u32,
    /// Of the video only.
    #[serde(skip_serializing_if = "Option::is_none")]
    num_frames: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fps: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_seconds: Option<f64>,
    /// Of the spritesheet only.
    #[serde(skip_serializing_if = "Option::is_none")]
    columns: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tile_width: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tile_height: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval_seconds: Option<f64>,
}

/// Where a file can be downloaded without a key, for a while.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = VideoDownloadUrl)]
pub(crate) struct DownloadUrlObject {
    #[schema(value_type = String, pattern = "^video.download_url$")]
    pub(crate) object: &'static str,
    pub(crate) video_id: String,
    /// `video`, `thumbnail` or `spritesheet`.
    #[schema(value_type = String)]
    pub(crate) variant: &'static str,
    pub(crate) url: String,
    /// When the URL stops working, Unix seconds.
    pub(crate) expires_at: u64,
}

/// What a finished job cost.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Usage)]
struct UsageObject {
    gpu_seconds: f64,
    gpu_count: u32,
    frames: u32,
    video_seconds: f64,
    #[schema(required)]
    prompt_tokens: Option<u32>,
}

/// Seconds per stage; null for a stage that did not run.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Timings)]
struct TimingsObject {
    #[schema(required)]
    queue: Option<f64>,
    #[schema(required)]
    prepare: Option<f64>,
    #[schema(required)]
    model_load: Option<f64>,
    #[schema(required)]
    text_encode: Option<f64>,
    #[schema(required)]
    image_encode: Option<f64>,
    #[schema(required)]
    denoise: Option<f64>,
    #[schema(required)]
    decode: Option<f64>,
    #[schema(required)]
    mux: Option<f64>,
    #[schema(required)]
    upload: Option<f64>,
    #[schema(required)]
    total: Option<f64>,
}

/// A page of videos.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the documented form of a generic list")]
pub(crate) struct VideoList {
    #[schema(pattern = "^list$", example = "list")]
    object: String,
    data: Vec<VideoObject>,
    #[schema(required)]
    first_id: Option<String>,
    #[schema(required)]
    last_id: Option<String>,
    has_more: bool,
}

/// The answer to a delete.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeletedVideo {
    pub(crate) id: String,
    #[schema(value_type = String, pattern = "^video.deleted$", example = "video.deleted")]
    pub(crate) object: &'static str,
    pub(crate) deleted: bool,
}

impl VideoObject {
    /// The job as its owner sees it.
    pub(crate) fn new(view: &JobView) -> Self {
        let JobView { job, outlook } = view;
        let (request, status) = (&job.request, &job.status);
        let terminal = status.state.is_terminal();
        let completed = status.state == JobState::Completed;
        Self {
            id: job.id.to_string(),
            object: "video",
            status: status.state.into(),
            progress: status.progress,
            model: request.spec.model.to_string(),
            prompt: Some(request.spec.prompt.clone()),
            size: request.spec.size.to_string(),
            seconds: nominal_seconds(request.spec.frames),
            created_at: job.created_at.seconds(),
            completed_at: status.finished_at.filter(|_| completed).map(|at| at.seconds()),
            expires_at: status.expires_at.map(|at| at.seconds()),
            error: status.error.as_ref().map(|error| VideoError {
                code: error.code.as_str().to_owned(),
                message: error.message.clone(),
            }),
            remixed_from_video_id: request.remixed_from.map(|id| id.to_string()),
            operation: request.spec.operation.as_str(),
            requested_model: request.requested_model.clone(),
            source_video_id: request.remixed_from.map(|id| id.to_string()),
            stage: (!terminal).then(|| status.stage.as_str()),
            attempt: status.attempt,
            queue_position: outlook.queue_position.filter(|_| status.state == JobState::Queued),
            eta_seconds: outlook.eta_seconds.filter(|_| !terminal),
            started_at: status.started_at.map(|at| at.seconds()),
            cancel_requested: status.cancel_requested,
            parameters: Parameters::new(&request.spec),
            input_image: request.input.as_ref().map(InputImageObject::new),
            warnings: job.warnings().map(WarningObject::new).collect(),
            assets: status.assets.iter().map(AssetObject::new).collect(),
            usage: status.usage.as_ref().map(UsageObject::new),
            timings: status.timings.as_ref().map(TimingsObject::new),
            callback_url: request.callback_url.as_deref().map(without_query),
            metadata: request.metadata.clone(),
            project_id: job.project.to_string(),
        }
    }

    /// As a list names it.
    pub(crate) fn id(&self) -> String {
        self.id.clone()
    }
}

/// `(frames − 1) / 16` in the shortest decimal form.
fn nominal_seconds(frames: FrameCount) -> String {
    (f64::from(frames.get() - 1) / f64::from(FRAMES_PER_SECOND)).to_string()
}

fn without_query(url: &str) -> String {
    url.split(['?', '#']).next().unwrap_or_default().to_owned()
}

impl From<JobState> for VideoStatus {
    fn from(state: JobState) -> Self {
        match state {
            JobState::Queued => Self::Queued,
            JobState::InProgress => Self::InProgress,
            JobState::Completed => Self::Completed,
            JobState::Failed => Self::Failed,
        }
    }
}

impl Parameters {
    fn new(spec: &VideoSpec) -> Self {
        Self {
            resolution: spec.resolution.as_str(),
            aspect_ratio: spec.aspect_ratio.map(|ratio| ratio.as_str()),
            num_frames: spec.frames.get(),
            fps: FRAMES_PER_SECOND,
            num_steps: spec.steps.get(),
            seed: spec.seed,
            sigma_max: spec.sigma_max,
            ode: spec.ode,
            boundary: spec.boundary,
            adaptive_resolution: spec.adaptive_resolution,
            image_fit: spec.image_fit.map(ImageFit::as_str),
            attention_type: spec.attention.as_str(),
            sla_topk: spec.sla_topk,
            quant_linear: spec.quant_linear,
            normalize_prompt: spec.normalize_prompt,
            effective_prompt: spec.effective_prompt.clone(),
        }
    }
}

impl InputImageObject {
    fn new(image: &InputImage) -> Self {
        Self {
            file_id: image.file_id.map(|id| id.to_string()),
            sha256: image.sha256.clone(),
            width: image.width,
            height: image.height,
            content_type: image.content_type.clone(),
        }
    }
}

impl WarningObject {
    fn new(warning: &Warning) -> Self {
        Self { code: warning.code, message: warning.message.clone(), param: warning.param.clone() }
    }
}

impl AssetObject {
    fn new(asset: &Asset) -> Self {
        let sheet = asset.sheet.as_ref();
        let length = |frames: u32| f64::from(frames) / f64::from(FRAMES_PER_SECOND);
        Self {
            variant: asset.variant.as_str(),
            content_type: asset.variant.content_type(),
            bytes: asset.bytes,
            sha256: asset.sha256.clone(),
            width: asset.width,
            height: asset.height,
            num_frames: asset.num_frames,
            fps: asset.num_frames.map(|_| FRAMES_PER_SECOND),
            duration_seconds: asset.num_frames.map(length),
            columns: sheet.map(|sheet| sheet.columns),
            rows: sheet.map(|sheet| sheet.rows),
            tile_width: sheet.map(|sheet| sheet.tile_width),
            tile_height: sheet.map(|sheet| sheet.tile_height),
            interval_seconds: sheet.map(|sheet| sheet.interval_seconds),
        }
    }
}

impl UsageObject {
    fn new(usage: &Usage) -> Self {
        Self {
            gpu_seconds: usage.gpu_seconds,
            gpu_count: usage.gpu_count,
            frames: usage.frames,
            video_seconds: usage.video_seconds,
            prompt_tokens: usage.prompt_tokens,
        }
    }
}

impl TimingsObject {
    fn new(timings: &Timings) -> Self {
        Self {
            queue: timings.queue,
            prepare: timings.prepare,
            model_load: timings.model_load,
            text_encode: timings.text_encode,
            image_encode: timings.image_encode,
            denoise: timings.denoise,
            decode: timings.decode,
            mux: timings.mux,
            upload: timings.upload,
            total: timings.total,
        }
    }
}
