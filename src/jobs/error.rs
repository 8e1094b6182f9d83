//! Why a verb could not be done.

use std::time::Duration;

use crate::domain::job::JobState;
use crate::scheduler::Overload;
use crate::storage::StorageError;
use crate::store::StoreError;

/// A refused or failed verb.
#[derive(Debug, thiserror::Error)]
pub enum JobsError {
    /// It does not exist, or not for this caller.
    #[error("no such job")]
    NotFound,
    /// `after` of a list is no job of the project.
    #[error("the page begins behind a job that never was")]
    UnknownAfter,
    /// Deleting needs an ended job.
    #[error("the job has not ended")]
    InProgress,
    #[error("a job that is {} cannot be cancelled", .0.as_str())]
    NotCancellable(JobState),
    /// Its content comes when it is completed; expected in that many seconds.
    #[error("the video is not ready")]
    NotReady { eta_seconds: Option<f64> },
    #[error("the job failed and has no video")]
    NotAvailable,
    #[error("the files of the job have been removed by age")]
    Expired,
    #[error("the job made no such file")]
    NoSuchVariant,
    /// The picture of the job to repeat has been removed.
    #[error("the source's picture is gone")]
    SourceGone,
    #[error("no such file")]
    NoSuchFile,
    #[error("the project has {limit} active jobs, as many as it may")]
    TooManyActive { limit: u32, wait: Duration },
    /// Seconds are charged and promised up to the limit; after `wait` they count anew.
    #[error("{} s of GPU time may be used, and they are", most_ms / 1000)]
    QuotaSpent { most_ms: u64, wait: Duration },
    /// The limit is smaller than what one such job is promised: waiting does not help.
    #[error("a job is promised {} s of GPU time, more than the {} s that may be used", need_ms / 1000, most_ms / 1000)]
    NeverFits { need_ms: u64, most_ms: u64 },
    #[error("the idempotency key was used with another request")]
    KeyReused,
    /// The server is about to stop.
    #[error("the server takes no new jobs")]
    Draining,
    #[error(transparent)]
    Overloaded(#[from] Overload),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for JobsError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Self::NotFound,
            StoreError::NotEnded => Self::InProgress,
            StoreError::KeyReused => Self::KeyReused,
            StoreError::Exists
            | StoreError::TooManyActive { .. }
            | StoreError::QuotaSpent { .. }
            | StoreError::Move(_)
            | StoreError::Unavailable(_)
            | StoreError::Locked
            | StoreError::Corrupt(_) => Self::Store(error),
        }
    }
}
