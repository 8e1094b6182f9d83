//! Bytes on their way in and out, in chunks, so that no file needs to fit in memory.

use std::io;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use sha2::{Digest, Sha256 as Hasher};
use tokio::sync::mpsc;

use super::{Sha256, StorageError, Stored};

/// Chunks of a file, in order.
pub type Chunks = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// Chunks in flight between a socket and the storage: enough to keep both busy.
const CHUNKS_IN_FLIGHT: usize = 8;

/// A file to write, with its length announced.
pub struct Body {
    bytes: u64,
    chunks: Chunks,
}

/// The sending end of [`Body::channel`]. Dropping it early makes the write fail.
pub struct BodySender(mpsc::Sender<io::Result<Bytes>>);

impl Body {
    /// From a stream of `bytes` bytes in all.
    pub fn stream(bytes: u64, chunks: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Self {
        Self { bytes, chunks: Box::pin(chunks) }
    }

    /// For a source that cannot leave its thread, such as a request's payload.
    pub fn channel(bytes: u64) -> (BodySender, Self) {
        let (sender, mut receiver) = mpsc::channel(CHUNKS_IN_FLIGHT);
        let chunks = stream::poll_fn(move |context| receiver.poll_recv(context));
        (BodySender(sender), Self::stream(bytes, chunks))
    }

    /// The announced length in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::stream(bytes.len() as u64, stream::once(async { Ok(bytes) }))
    }
}

impl BodySender {
    /// Waits for room. `false` when the write has ended, and more chunks are of no use.
    pub async fn send(&self, chunk: io::Result<Bytes>) -> bool {
        self.0.send(chunk).await.is_ok()
    }
}

/// Reads a body while counting and hashing it.
pub(super) struct Intake {
    body: Body,
    got: u64,
    hasher: Hasher,
}

impl Intake {
    pub(super) fn new(body: Body) -> Self {
        Self { body, got: 0, hasher: Hasher::new() }
    }

    /// Bytes that are to come in all.
    pub(super) fn announced(&self) -> u64 {
        self.body.bytes
    }

    /// The next chunk; fails when more bytes come than were announced.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, StorageError> {
        let Some(chunk) = self.body.chunks.next().await else { return Ok(None) };
        let chunk = chunk.map_err(StorageError::Sender)?;
        self.got += chunk.len() as u64;
        if self.got > self.body.bytes {
            return Err(StorageError::TooLong { wanted: self.body.bytes, got: self.got });
        }
        self.hasher.update(&chunk);
        Ok(Some(chunk))
    }

    /// What came, after the last chunk; fails when fewer bytes came than were announced.
    pub(super) fn finish(self) -> Result<Stored, StorageError> {
        if self.got < self.body.bytes {
            return Err(StorageError::TooShort { wanted: self.body.bytes, got: self.got });
        }
        Ok(Stored { bytes: self.got, sha256: Sha256(self.hasher.finalize().into()) })
    }
}
