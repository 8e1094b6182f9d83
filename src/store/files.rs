//! The uploaded files: what is kept of them, and what can be asked.

use super::{Garbage, Order, Pending, Reach};
use crate::domain::clock::UnixMillis;
use crate::domain::file::{FilePurpose, StoredFile};
use crate::domain::id::FileId;
use crate::domain::key::ProjectScope;

/// Which files of a project to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileQuery {
    pub order: Order,
    /// The page begins behind this file, which may be gone.
    pub after: Option<FileId>,
    pub limit: u32,
    pub purpose: Option<FilePurpose>,
    /// Those that are gone by then are left out.
    pub now: UnixMillis,
}

/// A page of files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FilePage {
    pub files: Vec<StoredFile>,
    /// Whether another page follows.
    pub has_more: bool,
}

/// The files.
pub trait FileStore: Send + Sync {
    /// Keeps the record of a file whose bytes are stored, which are no garbage any more.
    fn save_file(&self, file: StoredFile) -> Pending<'_, ()>;

    /// The file, if it exists within reach; one past its time too.
    fn file(&self, reach: Reach, file: FileId) -> Pending<'_, Option<StoredFile>>;

    /// A page of a project's files by time of creation.
    /// [`StoreError::NotFound`](super::StoreError::NotFound) if `after` never was a file of the project.
    fn files(&self, scope: ProjectScope, query: FileQuery) -> Pending<'_, FilePage>;

    /// Up to `limit` files whose time is over at `now`.
    fn expired_files(&self, now: UnixMillis, limit: u32) -> Pending<'_, Vec<StoredFile>>;

    /// Forgets a file. Answers the bytes it left, which are garbage now.
    fn delete_file(&self, scope: ProjectScope, file: FileId, at: UnixMillis) -> Pending<'_, Garbage>;
}
