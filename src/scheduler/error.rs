//! What the scheduler refuses, and why.

use crate::storage::StorageError;
use crate::store::StoreError;

/// A refused call of a worker or of a caller.
#[derive(Debug, thiserror::Error)]
pub enum SchedulerError {
    /// Somebody else has the job by now, or nobody.
    #[error("the lease is not the current one")]
    StaleLease,
    /// The server has been restarted, or has given the worker up: it says hello again.
    #[error("no such worker")]
    UnknownWorker,
    #[error("protocol version {theirs} is not understood; this is {ours}")]
    Protocol { theirs: u32, ours: u32 },
    /// The caller is no worker of ours.
    #[error("a worker token is needed")]
    Unauthorized,
    /// The message contradicts what is stored.
    #[error("{0}")]
    Invalid(String),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}
