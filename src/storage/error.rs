//! What can go wrong with stored bytes.

use std::io;

/// A failed storage operation. Nothing half-written stays visible after one.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    #[error("nothing is stored under {path}")]
    NotFound { path: String },
    #[error("{wanted} bytes were announced and {got} or more came")]
    TooLong { wanted: u64, got: u64 },
    #[error("{wanted} bytes were announced and only {got} came")]
    TooShort { wanted: u64, got: u64 },
    #[error("bytes {start}..{end} are outside of the {bytes} stored")]
    OutOfRange { start: u64, end: u64, bytes: u64 },
    #[error("the sender of the bytes failed: {0}")]
    Sender(#[source] io::Error),
    #[error("no space is left for stored files")]
    Full,
    /// It is down, or the way to it is.
    #[error("the storage cannot be reached: {0}")]
    Unreachable(String),
    #[error("the storage is too slow or too busy: {0}")]
    TooSlow(String),
    /// It works and does not let us: a wrong credential, a missing bucket.
    #[error("the storage refuses: {0}")]
    Refused(String),
    #[error("the storage failed: {0}")]
    Io(#[source] io::Error),
}

impl From<io::Error> for StorageError {
    fn from(error: io::Error) -> Self {
        let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        if full { Self::Full } else { Self::Io(error) }
    }
}

impl StorageError {
    /// What is wrong in a word, for metrics and readiness.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "missing",
            Self::TooLong { .. } | Self::TooShort { .. } | Self::OutOfRange { .. } | Self::Sender(_) => {
                "caller"
            }
            Self::Full => "full",
            Self::Unreachable(_) => "down",
            Self::TooSlow(_) => "slow",
            Self::Refused(_) => "refused",
            Self::Io(_) => "failed",
        }
    }
}
