//! Uploaded files: keep, list, read, delete. What a file holds is checked before it comes here.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};

use super::submit::RESERVED_FOR;
use super::{Jobs, JobsError};
use crate::domain::file::{FilePurpose, StoredFile};
use crate::domain::id::FileId;
use crate::domain::key::ProjectScope;
use crate::storage::{Body, Chunks, Key, StorageError};
use crate::store::{FilePage, FileQuery, Garbage, Left, Reach, StoreError};

/// A file to keep.
pub struct NewFile {
    pub filename: String,
    pub purpose: FilePurpose,
    pub content_type: String,
    pub bytes: u64,
    pub chunks: Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>,
    pub lives: Duration,
}

impl Jobs {
    /// Keeps a file. It exists completely or not at all, also if the caller goes away meanwhile.
    pub async fn add_file(&self, scope: ProjectScope, new: NewFile) -> Result<StoredFile, JobsError> {
        let jobs = self.clone();
        let keeping = self.inner.submissions.spawn(async move { jobs.keep(scope, new).await });
        let file = keeping.await.unwrap_or(Err(JobsError::Draining))?;
        // In the caller's task, whose writes may be held back. Without it the bytes are garbage.
        self.parts().store.save_file(file.clone()).await?;
        Ok(file)
    }

    /// The file, or [`JobsError::NoSuchFile`], also for one of another project or past its time.
    pub async fn file(&self, scope: ProjectScope, file: FileId) -> Result<StoredFile, JobsError> {
        let found = self.parts().store.file(Reach::Project(scope), file).await?;
        let now = self.parts().clock.now();
        found.filter(|file| file.expires_at > now).ok_or(JobsError::NoSuchFile)
    }

    /// A page of the project's files. Which are past their time is looked up here.
    pub async fn files(&self, scope: ProjectScope, query: FileQuery) -> Result<FilePage, JobsError> {
        let query = FileQuery { now: self.parts().clock.now(), ..query };
        match self.parts().store.files(scope, query).await {
            Err(StoreError::NotFound) => Err(JobsError::UnknownAfter),
            page => Ok(page?),
        }
    }

    /// Deletes a file. Jobs that were made from it keep their own copy.
    pub async fn delete_file(&self, scope: ProjectScope, file: FileId) -> Result<(), JobsError> {
        self.file(scope, file).await?;
        let at = self.parts().clock.now();
        match self.parts().store.delete_file(scope, file, at).await {
            Err(StoreError::NotFound) => Err(JobsError::NoSuchFile),
            left => {
                self.erase(&[left?]).await;
                Ok(())
            }
        }
    }

    /// The bytes of a file, whole or in part.
    pub async fn read_file(
        &self,
        file: &StoredFile,
        range: Option<std::ops::Range<u64>>,
    ) -> Result<Chunks, JobsError> {
        let ProjectScope { organization, project } = file.scope;
        let key = Key::File { organization, project, file: file.id };
        match self.parts().storage.get(&key, range).await {
            // Deleted since its record was read.
            Err(StorageError::NotFound { .. }) => Err(JobsError::NoSuchFile),
            chunks => Ok(chunks?),
        }
    }

    /// All bytes of a file; look at its length before.
    pub async fn file_bytes(&self, file: &StoredFile) -> Result<Bytes, JobsError> {
        let mut chunks = self.read_file(file, None).await?;
        let mut bytes = BytesMut::with_capacity(file.bytes as usize);
        while let Some(chunk) = chunks.next().await {
            bytes.extend_from_slice(&chunk.map_err(StorageError::from)?);
        }
        Ok(bytes.freeze())
    }

    /// Stores the bytes; what is answered has no record yet.
    async fn keep(&self, scope: ProjectScope, new: NewFile) -> Result<StoredFile, JobsError> {
        let ProjectScope { organization, project } = scope;
        let created_at = self.parts().clock.now();
        let id = FileId::new(created_at.0, self.parts().random.id_bytes());
        let reserved = Garbage { due: created_at.after(RESERVED_FOR), scope, left: Left::File { file: id } };
        self.parts().store.reserve(reserved).await?;
        let body = Body::stream(new.bytes, new.chunks);
        let key = Key::File { organization, project, file: id };
        let stored = self.parts().storage.put(&key, body).await?;
        Ok(StoredFile {
            id,
            scope,
            filename: new.filename,
            purpose: new.purpose,
            bytes: stored.bytes,
            sha256: stored.sha256.to_string(),
            content_type: new.content_type,
            created_at,
            expires_at: created_at.after(new.lives),
        })
    }
}
