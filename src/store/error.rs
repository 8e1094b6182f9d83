//! What can go wrong with the truth.

use crate::domain::clock::UnixMillis;
use crate::domain::moves::BadMove;

/// A failed store operation. Nothing of it has happened, except where said.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("no such record")]
    NotFound,
    #[error("a record of that id exists")]
    Exists,
    #[error("the job does not allow that: {0}")]
    Move(#[from] BadMove),
    #[error("the job has not ended")]
    NotEnded,
    #[error("the project has {limit} active jobs, as many as it may")]
    TooManyActive { limit: u32 },
    /// Charged and promised seconds leave no room before `until`.
    #[error("{most_ms} ms of GPU time may be used, and {used_ms} are")]
    QuotaSpent { most_ms: u64, used_ms: u64, until: UnixMillis },
    #[error("the idempotency key was used with another request")]
    KeyReused,
    /// Also when a commit was cut off: it may have happened. Repeating with the same ids or key finds out.
    #[error("the store does not answer: {0}")]
    Unavailable(String),
    #[error("another server uses this store")]
    Locked,
    #[error("a stored record cannot be read: {0}")]
    Corrupt(String),
}
