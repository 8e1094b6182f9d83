//! What a job cost, as it is shown on the job and as it is booked.

use serde::{Deserialize, Serialize};

use super::clock::UnixMillis;
use super::failure::FailureCode;
use super::id::{KeyId, OrganizationId, ProjectId, VideoId};
use super::job::{Job, JobState};
use super::model::ModelId;
use super::size::Size;
use super::video::Operation;

/// The `usage` of a finished job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Charged: wall seconds from the start of text encoding to the end of decoding, times devices held.
    pub gpu_seconds: f64,
    pub gpu_count: u32,
    pub frames: u32,
    /// Length of the video that came out.
    pub video_seconds: f64,
    pub prompt_tokens: Option<u32>,
}

/// One booked row, written once, when the job ends. It outlives the job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UsageRecord {
    pub video: VideoId,
    pub organization: OrganizationId,
    pub project: ProjectId,
    pub key: KeyId,
    pub model: ModelId,
    pub size: Size,
    pub operation: Operation,
    pub completed: bool,
    pub at: UnixMillis,
    pub usage: Usage,
    /// Bytes of all assets.
    pub output_bytes: u64,
}

impl UsageRecord {
    /// The booking of a job that has ended; `None` before that.
    pub fn of(job: &Job) -> Option<Self> {
        let at = job.status.finished_at?;
        Some(Self {
            video: job.id,
            organization: job.organization,
            project: job.project,
            key: job.key,
            model: job.request.spec.model.clone(),
            size: job.request.spec.size,
            operation: job.request.spec.operation,
            completed: job.status.state == JobState::Completed,
            at,
            usage: job.status.usage.unwrap_or_default(),
            output_bytes: job.status.assets.iter().map(|asset| asset.bytes).sum(),
        })
    }
}

/// What is charged for `gpu_seconds` of work that ended with `failure` (`None`: completed).
pub fn charged_seconds(gpu_seconds: f64, failure: Option<FailureCode>) -> f64 {
    if failure.is_none_or(FailureCode::is_charged) { gpu_seconds } else { 0.0 }
}
