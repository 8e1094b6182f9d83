//! A file that one process at a time holds, until it ends, however it ends. What it stands for is its owner's to say.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How long to wait for a process that is ending: its last moments, and those of a child that it had just started, which
/// holds the file, too, until it runs a program of its own.
const PATIENCE: Duration = Duration::from_secs(1);

/// Between two tries.
const RETRY_EVERY: Duration = Duration::from_millis(20);

/// Held until it is dropped.
#[derive(Debug)]
pub struct LockFile {
    _file: File,
}

impl LockFile {
    /// Makes the file, mode 0600, if it is not there, and takes it. `None` if another process holds it and goes on to.
    pub async fn take(path: &Path) -> io::Result<Option<Self>> {
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        let until = Instant::now() + PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(Self { _file: file })),
                Err(TryLockError::WouldBlock) if Instant::now() < until => sleep(RETRY_EVERY).await,
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_has_one_holder_and_waits_for_one_that_ends() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("lock");
        let held = LockFile::take(&path).await.unwrap().unwrap();
        assert!(LockFile::take(&path).await.unwrap().is_none());
        let (taken, ()) = tokio::join!(LockFile::take(&path), async { drop(held) });
        assert!(taken.unwrap().is_some());
    }
}
