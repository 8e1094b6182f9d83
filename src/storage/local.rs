//! Files in a folder of this machine: written aside, synced, renamed, and the folder synced.
//! Never on a network file system: the rename must be atomic.

use std::io::{self, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::fs::{self, File, OpenOptions};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio::sync::Mutex;
use tokio_util::io::ReaderStream;

use super::body::{Chunks, Intake};
use super::{Body, Key, Pending, ReadLink, Storage, StorageError, Stored, WriteLink, WriteTerms};

/// Bytes read at once: few enough trips to the blocking pool, small enough to hold for thousands of readers.
const READ_CHUNK_BYTES: usize = 256 * 1024;

/// Storage in a folder. One process at a time may own it.
pub struct Local {
    objects: PathBuf,
    /// Half-written files; emptied at every start.
    incoming: PathBuf,
    next_incoming: AtomicU64,
    /// Held where folders come or go, so that no write finds its folder removed under it.
    folders: Mutex<()>,
}

impl Local {
    /// Makes the folders if need be, and removes what a crash left half-written.
    pub fn open(root: &Path) -> io::Result<Self> {
        let (objects, incoming) = (root.join("objects"), root.join("incoming"));
        if incoming.exists() {
            std::fs::remove_dir_all(&incoming)?;
        }
        std::fs::create_dir_all(&objects)?;
        std::fs::create_dir_all(&incoming)?;
        Ok(Self { objects, incoming, next_incoming: AtomicU64::new(0), folders: Mutex::default() })
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.objects.join(key.path())
    }

    fn fresh_incoming(&self) -> PathBuf {
        self.incoming.join(self.next_incoming.fetch_add(1, Ordering::Relaxed).to_string())
    }

    async fn write(&self, key: &Key, body: Body) -> Result<Stored, StorageError> {
        let aside = Aside(self.fresh_incoming());
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside.0).await?;
        let mut intake = Intake::new(body);
        while let Some(chunk) = intake.next().await? {
            file.write_all(&chunk).await?;
        }
        let stored = intake.finish()?;
        file.flush().await?;
        file.sync_all().await?;
        let path = self.path(key);
        let folder = path.parent().expect("a key's path has folders");
        {
            let _folders = self.folders.lock().await;
            fs::create_dir_all(folder).await?;
            fs::rename(&aside.0, &path).await?;
        }
        // Each folder on the way may be new, and a new name lasts only once its folder is synced.
        for folder in folder.ancestors().take_while(|folder| folder.starts_with(&self.objects)) {
            File::open(folder).await?.sync_all().await?;
        }
        Ok(stored)
    }

    async fn read(&self, key: &Key, range: Option<Range<u64>>) -> Result<Chunks, StorageError> {
        let mut file = File::open(self.path(key)).await.map_err(|error| missing(key, error))?;
        let bytes = file.metadata().await?.len();
        let Range { start, end } = range.unwrap_or(0..bytes);
        if start > end || end > bytes {
            return Err(StorageError::OutOfRange { start, end, bytes });
        }
        file.seek(SeekFrom::Start(start)).await?;
        Ok(Box::pin(ReaderStream::with_capacity(file.take(end - start), READ_CHUNK_BYTES)))
    }
}

impl Storage for Local {
    fn put<'a>(&'a self, key: &'a Key, body: Body) -> Pending<'a, Stored> {
        Box::pin(self.write(key, body))
    }

    fn get<'a>(&'a self, key: &'a Key, range: Option<Range<u64>>) -> Pending<'a, Chunks> {
        Box::pin(self.read(key, range))
    }

    fn head<'a>(&'a self, key: &'a Key) -> Pending<'a, Option<u64>> {
        Box::pin(async move {
            match fs::metadata(self.path(key)).await {
                Ok(metadata) => Ok(Some(metadata.len())),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error.into()),
            }
        })
    }

    fn delete<'a>(&'a self, key: &'a Key) -> Pending<'a, ()> {
        Box::pin(async move {
            let path = self.path(key);
            match fs::remove_file(&path).await {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(error.into()),
            }
            // Folders of a job go with its last file; a folder that still holds something stays.
            let _folders = self.folders.lock().await;
            for folder in path.ancestors().skip(1).take_while(|folder| *folder != self.objects) {
                if fs::remove_dir(folder).await.is_err() {
                    break;
                }
            }
            Ok(())
        })
    }

    fn probe(&self) -> Pending<'_, ()> {
        Box::pin(async move {
            let aside = Aside(self.fresh_incoming());
            let mut file = File::create_new(&aside.0).await?;
            file.write_all(b"probe").await?;
            file.sync_all().await?;
            Ok(())
        })
    }

    fn read_link<'a>(&'a self, _: &'a Key, _: ReadLink<'a>) -> Pending<'a, Option<String>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn write_link<'a>(&'a self, _: &'a Key, _: WriteTerms) -> Pending<'a, Option<WriteLink>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}

/// A half-written file: removed unless it was renamed away.
struct Aside(PathBuf);

impl Drop for Aside {
    fn drop(&mut self) {
        // Not there after a rename. What cannot be removed now is removed at the next start.
        drop(std::fs::remove_file(&self.0));
    }
}

fn missing(key: &Key, error: io::Error) -> StorageError {
    let absent = error.kind() == io::ErrorKind::NotFound;
    if absent { StorageError::NotFound { path: key.path() } } else { error.into() }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::suite;
    use super::*;

    crate::storage::suite::storage_suite!({
        let folder = tempfile::tempdir().unwrap();
        (Local::open(folder.path()).unwrap(), folder)
    });

    #[tokio::test]
    async fn a_failed_write_leaves_no_file_anywhere() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Local::open(folder.path()).unwrap();
        let (sender, body) = Body::channel(100);
        drop(sender);
        storage.put(&suite::result_key(1), body).await.unwrap_err();
        assert_eq!(std::fs::read_dir(folder.path().join("incoming")).unwrap().count(), 0);
        assert_eq!(std::fs::read_dir(folder.path().join("objects")).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn what_a_crash_left_is_removed_at_the_next_start_and_the_rest_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let key = suite::result_key(1);
        {
            let storage = Local::open(folder.path()).unwrap();
            storage.put(&key, Bytes::from_static(b"kept").into()).await.unwrap();
        }
        std::fs::write(folder.path().join("incoming/9"), b"half").unwrap();
        let storage = Local::open(folder.path()).unwrap();
        assert_eq!(std::fs::read_dir(folder.path().join("incoming")).unwrap().count(), 0);
        assert_eq!(storage.head(&key).await.unwrap(), Some(4));
    }

    #[tokio::test]
    async fn the_last_file_of_a_job_takes_its_folders_along() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Local::open(folder.path()).unwrap();
        storage.put(&suite::result_key(1), Bytes::from_static(b"x").into()).await.unwrap();
        storage.delete(&suite::result_key(1)).await.unwrap();
        assert_eq!(std::fs::read_dir(folder.path().join("objects")).unwrap().count(), 0);
    }

    #[test]
    fn a_full_disk_is_told_apart() {
        let full = io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error());
        assert!(matches!(StorageError::from(full), StorageError::Full));
    }
}
