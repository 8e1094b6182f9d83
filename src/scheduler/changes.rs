//! Wakes whoever waits for a job to change. A hint, never the truth: a waiter reads the store again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use crate::domain::id::VideoId;

/// Waiters by job.
#[derive(Debug, Default)]
pub(super) struct Changes {
    waiters: Mutex<HashMap<VideoId, watch::Sender<()>>>,
}

/// Sees every change of one job that comes after it was made.
#[derive(Debug)]
pub struct Watch(watch::Receiver<()>);

impl Watch {
    /// Waits for a change since the last call; several count as one. Never ends if none comes.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Changes {
    pub(super) fn watch(&self, video: VideoId) -> Watch {
        let mut waiters = self.waiters.lock().unwrap_or_else(PoisonError::into_inner);
        Watch(waiters.entry(video).or_insert_with(|| watch::channel(()).0).subscribe())
    }

    /// Says that the job has changed.
    pub(super) fn announce(&self, video: VideoId) {
        let mut waiters = self.waiters.lock().unwrap_or_else(PoisonError::into_inner);
        if waiters.get(&video).is_some_and(|sender| sender.send(()).is_err()) {
            waiters.remove(&video);
        }
    }

    /// Drops the places of waiters that have left.
    pub(super) fn tidy(&self) {
        let mut waiters = self.waiters.lock().unwrap_or_else(PoisonError::into_inner);
        waiters.retain(|_, sender| sender.receiver_count() > 0);
    }
}
