//! An uploaded file: in memory while its form is small, in an unnamed file of this machine once it is not.
//! Its declared type is untrusted and dropped at once.

use std::io::{self, SeekFrom};
use std::pin::Pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, stream};
use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio_util::io::ReaderStream;

/// What the files of one form may hold of the memory together: most pictures, and few enough bytes for many forms at once.
const FORM_IN_MEMORY: usize = 2 << 20;

/// Enough to tell what a file is.
const HEAD_BYTES: usize = 32;

/// Room for any name that a file system allows.
const MAX_NAME_CHARACTERS: usize = 255;

/// The bytes of an upload, in order.
pub(crate) type UploadChunks = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// A file that came with a form.
#[derive(Debug, Clone)]
pub(crate) struct Upload {
    name: String,
    bytes: u64,
    sha256: [u8; 32],
    head: Vec<u8>,
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    Memory(Bytes),
    /// Removed from the folder already: it vanishes with its last handle.
    Disk(Arc<std::fs::File>),
}

/// What the files of a form may still take of the memory.
pub(super) struct Room(usize);

/// An upload that is still coming.
pub(super) struct Receiving {
    name: String,
    bytes: u64,
    digest: Sha256,
    head: Vec<u8>,
    memory: BytesMut,
    disk: Option<File>,
}

impl Upload {
    /// As the sender calls it, without control characters; for people only.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }

    /// The first bytes.
    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }

    /// All of it at once; look at the length before.
    pub(crate) async fn whole(self) -> io::Result<Bytes> {
        match self.content {
            Content::Memory(bytes) => Ok(bytes),
            Content::Disk(file) => {
                let mut bytes = Vec::with_capacity(self.bytes as usize);
                rewound(&file).await?.read_to_end(&mut bytes).await?;
                Ok(bytes.into())
            }
        }
    }

    /// All of it piece by piece.
    pub(crate) async fn chunks(self) -> io::Result<UploadChunks> {
        Ok(match self.content {
            Content::Memory(bytes) => Box::pin(stream::iter([Ok(bytes)])),
            Content::Disk(file) => Box::pin(ReaderStream::new(rewound(&file).await?)),
        })
    }
}

impl PartialEq for Upload {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.sha256) == (&other.name, other.sha256)
    }
}

impl Eq for Upload {}

impl Room {
    /// Of a form without files so far.
    pub(super) fn of_form() -> Self {
        Self(FORM_IN_MEMORY)
    }
}

impl Receiving {
    pub(super) fn new(name: &str) -> Self {
        let name = name.chars().filter(|character| !character.is_control()).take(MAX_NAME_CHARACTERS);
        Self {
            name: name.collect(),
            bytes: 0,
            digest: Sha256::new(),
            head: Vec::new(),
            memory: BytesMut::new(),
            disk: None,
        }
    }

    /// `room` is that of the form; what stays in memory is taken out of it, and given back once it goes to the disk.
    pub(super) async fn push(&mut self, chunk: &[u8], room: &mut Room) -> io::Result<()> {
        self.bytes += chunk.len() as u64;
        self.digest.update(chunk);
        let missing = HEAD_BYTES - self.head.len();
        self.head.extend_from_slice(&chunk[..missing.min(chunk.len())]);
        if let Some(file) = &mut self.disk {
            return file.write_all(chunk).await;
        }
        if let Some(left) = room.0.checked_sub(chunk.len()) {
            room.0 = left;
            self.memory.extend_from_slice(chunk);
            return Ok(());
        }
        let file = tokio::task::spawn_blocking(tempfile::tempfile).await.map_err(io::Error::other)??;
        let mut file = File::from_std(file);
        let memory = std::mem::take(&mut self.memory);
        file.write_all(&memory).await?;
        room.0 += memory.len();
        file.write_all(chunk).await?;
        self.disk = Some(file);
        Ok(())
    }

    pub(super) async fn finish(self) -> io::Result<Upload> {
        let content = match self.disk {
            None => Content::Memory(self.memory.freeze()),
            Some(mut file) => {
                file.flush().await?;
                Content::Disk(Arc::new(file.into_std().await))
            }
        };
        let sha256 = self.digest.finalize().into();
        Ok(Upload { name: self.name, bytes: self.bytes, sha256, head: self.head, content })
    }
}

async fn rewound(file: &std::fs::File) -> io::Result<File> {
    let mut file = File::from_std(file.try_clone()?);
    file.seek(SeekFrom::Start(0)).await?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;

    #[tokio::test]
    async fn small_and_large_uploads_are_read_back_as_they_came() {
        for length in [0, 10, FORM_IN_MEMORY, FORM_IN_MEMORY + 1, 3 * FORM_IN_MEMORY] {
            let sent: Vec<u8> = (0..length).map(|index| (index % 251) as u8).collect();
            let mut receiving = Receiving::new("a\r\n\u{7}b.png");
            let mut room = Room::of_form();
            for chunk in sent.chunks(100_000) {
                receiving.push(chunk, &mut room).await.unwrap();
            }
            let upload = receiving.finish().await.unwrap();
            assert_eq!((upload.name(), upload.bytes()), ("ab.png", length as u64));
            assert_eq!(upload.head(), &sent[..length.min(HEAD_BYTES)]);
            assert_eq!(upload.sha256()[..], Sha256::digest(&sent)[..]);
            assert_eq!(matches!(upload.content, Content::Disk(_)), length > FORM_IN_MEMORY);
            assert_eq!(upload.clone().whole().await.unwrap(), sent);
            let chunks: Vec<_> = upload.chunks().await.unwrap().map(Result::unwrap).collect().await;
            assert_eq!(chunks.concat(), sent);
        }
    }

    #[tokio::test]
    async fn the_files_of_a_form_share_what_they_may_hold_of_the_memory() {
        let mut room = Room::of_form();
        let mut on_disk = Vec::new();
        // The second does not fit beside the first; what it gives back, the third takes.
        for length in [FORM_IN_MEMORY / 2, FORM_IN_MEMORY / 2 + 1, FORM_IN_MEMORY / 2, 1] {
            let mut receiving = Receiving::new("a");
            for chunk in vec![7; length].chunks(100_000) {
                receiving.push(chunk, &mut room).await.unwrap();
            }
            let upload = receiving.finish().await.unwrap();
            on_disk.push(matches!(upload.content, Content::Disk(_)));
            assert_eq!(upload.whole().await.unwrap(), vec![7; length]);
        }
        assert_eq!(on_disk, [false, true, false, true]);
    }
}
