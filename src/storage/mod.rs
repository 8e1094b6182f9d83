//! Bytes by key: inputs and results of jobs. Knows nothing of jobs, and never decides what may be deleted.
//!
//! A file is written whole or not at all, and is durable when `put` returns.

mod body;
mod error;
mod key;
mod local;
mod memory;
mod s3;
#[cfg(test)]
mod suite;

use std::ops::Range;
use std::pin::Pin;
use std::time::Duration;

pub use body::{Body, BodySender, Chunks};
pub use error::StorageError;
pub use key::{Key, Sha256};
pub use local::Local;
pub use memory::Memory;
pub use s3::{S3, S3Access, S3Settings};

/// The future of a storage operation.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, StorageError>> + Send + 'a>>;

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    pub bytes: u64,
    pub sha256: Sha256,
}

/// A place for bytes.
pub trait Storage: Send + Sync {
    /// Writes all of `body` under `key`, replacing what was there. Nothing is left behind when it fails.
    fn put<'a>(&'a self, key: &'a Key, body: Body) -> Pending<'a, Stored>;

    /// The bytes of `range` (all if `None`), which must lie within the file.
    fn get<'a>(&'a self, key: &'a Key, range: Option<Range<u64>>) -> Pending<'a, Chunks>;

    /// The size in bytes, `None` if there is no such file.
    fn head<'a>(&'a self, key: &'a Key) -> Pending<'a, Option<u64>>;

    /// Removes the file; one that is not there is no error.
    fn delete<'a>(&'a self, key: &'a Key) -> Pending<'a, ()>;

    /// Whether a write would work now, for readiness.
    fn probe(&self) -> Pending<'_, ()>;

    /// An address that gives the file to whoever has it, for a while; `None` where the storage has none to give.
    fn read_link<'a>(&'a self, key: &'a Key, link: ReadLink<'a>) -> Pending<'a, Option<String>>;

    /// An address that takes exactly the file described, for a while; `None` where the storage has none to give.
    fn write_link<'a>(&'a self, key: &'a Key, terms: WriteTerms) -> Pending<'a, Option<WriteLink>>;
}

/// How an address gives a file.
#[derive(Debug, Clone, Copy)]
pub struct ReadLink<'a> {
    pub lives: Duration,
    pub content_type: &'a str,
    /// The `Content-Disposition` of the answer.
    pub disposition: &'a str,
}

/// The file that an address takes.
#[derive(Debug, Clone, Copy)]
pub struct WriteTerms {
    pub lives: Duration,
    pub bytes: u64,
    pub sha256: Sha256,
}

/// Where a file is put.
#[derive(Clone)]
pub struct WriteLink {
    pub url: String,
    /// To be sent with the bytes, as they are.
    pub headers: Vec<(String, String)>,
}
