//! Why a job failed: the codes that a client sees, and the classes that decide about a second try.

use serde::{Deserialize, Serialize};

/// `video.error.code`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureCode {
    Cancelled,
    QueueTimeout,
    GenerationTimeout,
    GpuOutOfMemory,
    WorkerLost,
    ModelLoadFailed,
    InputImageInvalid,
    /// NaN or all-black frames.
    InvalidOutput,
    EncodingFailed,
    StorageUploadFailed,
    ContentPolicyViolation,
    InternalError,
}

impl FailureCode {
    /// Every code.
    pub const ALL: [Self; 12] = [
        Self::Cancelled,
        Self::QueueTimeout,
        Self::GenerationTimeout,
        Self::GpuOutOfMemory,
        Self::WorkerLost,
        Self::ModelLoadFailed,
        Self::InputImageInvalid,
        Self::InvalidOutput,
        Self::EncodingFailed,
        Self::StorageUploadFailed,
        Self::ContentPolicyViolation,
        Self::InternalError,
    ];

    /// As written on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::QueueTimeout => "queue_timeout",
            Self::GenerationTimeout => "generation_timeout",
            Self::GpuOutOfMemory => "gpu_out_of_memory",
            Self::WorkerLost => "worker_lost",
            Self::ModelLoadFailed => "model_load_failed",
            Self::InputImageInvalid => "input_image_invalid",
            Self::InvalidOutput => "invalid_output",
            Self::EncodingFailed => "encoding_failed",
            Self::StorageUploadFailed => "storage_upload_failed",
            Self::ContentPolicyViolation => "content_policy_violation",
            Self::InternalError => "internal_error",
        }
    }

    /// What a client reads; never more than the code says.
    pub fn message(self) -> &'static str {
        match self {
            Self::Cancelled => "The video was cancelled.",
            Self::QueueTimeout => "No worker became free in time.",
            Self::GenerationTimeout => "The generation took longer than allowed.",
            Self::GpuOutOfMemory => "The device ran out of memory.",
            Self::WorkerLost => "The workers that ran this job stopped before it was done.",
            Self::ModelLoadFailed => "The model could not be loaded.",
            Self::InputImageInvalid => "The input image cannot be used.",
            Self::InvalidOutput => "The model produced an unusable video.",
            Self::EncodingFailed => "The video could not be encoded.",
            Self::StorageUploadFailed => "The result could not be stored.",
            Self::ContentPolicyViolation => "The request violates the content policy.",
            Self::InternalError => "The server had an internal error.",
        }
    }

    /// Whether the caller pays for the GPU time: what the platform broke is free.
    pub fn is_charged(self) -> bool {
        matches!(self, Self::Cancelled)
    }
}

/// Who is to blame, which decides whether another try makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// The machine, the network or storage: try again elsewhere.
    Infra,
    /// The job itself: it would fail everywhere.
    Deterministic,
    /// Once more, after the worker has been restarted.
    OutOfMemory,
    /// The client asked for it, and the worker obeyed.
    Cancelled,
    /// The worker stops and gives the job back unfinished; it costs no attempt.
    HandedBack,
}
