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
    #[error("the storage failed: {0}")]
    Io(#[source] io::Error),
}

impl From<io::Error> for StorageError {
    fn from(error: io::Error) -> Self {
        let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        if full { Self::Full } else { Self::Io(error) }
    }
}
