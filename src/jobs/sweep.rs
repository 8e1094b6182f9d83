//! Housekeeping: assets and files past their time, bytes that nothing names, records past their time.
//! Every step may be cut off and is found again at the next sweep.

use std::time::Duration;

use super::submit::REMEMBER_KEYS;
use super::{Jobs, JobsError};
use crate::domain::asset::Variant;
use crate::domain::audit::Actor;
use crate::domain::clock::UnixMillis;
use crate::domain::id::{EventId, FileId, VideoId};
use crate::domain::jump::Jumps;
use crate::domain::key::ProjectScope;
use crate::domain::moves::Move;
use crate::storage::{Key, StorageError};
use crate::store::{Aged, Change, Garbage, Left, Reach, StoreError, Trim};

/// Between two sweeps.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// Rows a sweep takes at once, so that it never holds the store for long.
pub(super) const BATCH: u32 = 100;

/// How long things are kept.
#[derive(Debug, Clone)]
pub struct Retention {
    /// Of an ended job's record.
    pub jobs: Duration,
}

impl Default for Retention {
    /// 30 days, as the contract says.
    fn default() -> Self {
        Self { jobs: Duration::from_secs(30 * 24 * 3600) }
    }
}

/// What a sweep looks for.
#[derive(Debug, Clone, Copy)]
enum Step {
    Assets,
    Files,
    /// Of jobs that ended before then.
    Records(UnixMillis),
    Garbage,
}

/// One thing whose time is over.
#[derive(Debug, PartialEq)]
enum Due {
    Assets(VideoId),
    File(ProjectScope, FileId),
    Record(VideoId),
    Garbage(Garbage),
}

impl Jobs {
    /// Sweeps again and again until `shutdown` is there.
    pub async fn run_sweeps(&self, retention: Retention, shutdown: impl Future<Output = ()>) {
        let sweeps = async {
            let mut jumps = Jumps::default();
            let mut ticks = tokio::time::interval(SWEEP_EVERY);
            loop {
                ticks.tick().await;
                self.sweep_unless_paused(&mut jumps, &retention).await;
            }
        };
        tokio::select! {
            () = shutdown => {}
            // Never ends. It is cut off where it stands: a slow storage may hold a sweep for long.
            () = sweeps => {}
        }
    }

    /// A sweep, unless the wall clock has just jumped: what a wrong clock removes is gone when it is put right.
    pub(super) async fn sweep_unless_paused(&self, jumps: &mut Jumps, retention: &Retention) {
        let (at, now) = (self.parts().clock.now(), self.parts().clock.monotonic());
        if let Some(jump_ms) = jumps.look(at, now) {
            tracing::warn!(jump_ms, "the wall clock has jumped since the last sweep");
        }
        if jumps.trusts(now) {
            self.sweep(retention, at).await;
        }
    }

    /// Removes everything that is due at `now`. What cannot be removed waits for the next sweep and holds up nothing else.
    pub(super) async fn sweep(&self, retention: &Retention, now: UnixMillis) {
        let before = |age: Duration| UnixMillis(now.0.saturating_sub(age.as_millis() as u64));
        let trim = Trim {
            idempotency_keys: before(REMEMBER_KEYS),
            events: before(retention.jobs),
            deleted: before(retention.jobs),
        };
        if let Err(error) = self.parts().store.trim(trim).await {
            tracing::warn!(%error, "old rows could not be removed yet");
        }
        // Garbage comes last: it alone needs the storage, which may take long to say no, and the steps before add to it.
        for step in [Step::Assets, Step::Files, Step::Records(before(retention.jobs)), Step::Garbage] {
            if let Err(error) = self.remove_all(step, now).await {
                tracing::warn!(?step, %error, "what is due could not be read");
            }
        }
    }

    /// Removes what is due in one respect, batch by batch.
    async fn remove_all(&self, step: Step, now: UnixMillis) -> Result<(), StoreError> {
        let mut failed = Vec::new();
        loop {
            let batch = self.due(step, now).await?;
            let is_full = batch.len() == BATCH as usize;
            let mut removed = 0;
            for due in batch {
                // The oldest come first, so one that could not be removed comes in every batch.
                if failed.contains(&due) {
                    continue;
                }
                match self.remove(&due, now).await {
                    // Somebody else may have been faster.
                    Ok(()) | Err(JobsError::NotFound) => removed += 1,
                    // Then the rest cannot be removed either.
                    Err(JobsError::Storage(error @ StorageError::Unreachable(_))) => {
                        tracing::warn!(%error, "what is due waits for the storage");
                        return Ok(());
                    }
                    Err(error) => {
                        // A wrong credential fails them all: one warning a minute is enough.
                        if failed.is_empty() {
                            tracing::warn!(?due, %error, "something due could not be removed yet");
                        } else {
                            tracing::debug!(?due, %error, "something due could not be removed yet");
                        }
                        failed.push(due);
                    }
                }
            }
            if !is_full || removed == 0 {
                return Ok(());
            }
        }
    }

    async fn due(&self, step: Step, now: UnixMillis) -> Result<Vec<Due>, StoreError> {
        let store = &self.parts().store;
        Ok(match step {
            Step::Assets => {
                let jobs = store.aged(Aged::AssetsExpired(now), BATCH).await?;
                jobs.into_iter().map(|job| Due::Assets(job.id)).collect()
            }
            Step::Files => {
                let files = store.expired_files(now, BATCH).await?;
                files.into_iter().map(|file| Due::File(file.scope, file.id)).collect()
            }
            Step::Records(before) => {
                let jobs = store.aged(Aged::Ended(before), BATCH).await?;
                jobs.into_iter().map(|job| Due::Record(job.id)).collect()
            }
            Step::Garbage => store.garbage(now, BATCH).await?.into_iter().map(Due::Garbage).collect(),
        })
    }

    async fn remove(&self, due: &Due, now: UnixMillis) -> Result<(), JobsError> {
        let store = &self.parts().store;
        match due {
            Due::Assets(video) => {
                let event = EventId::new(now.0, self.parts().random.id_bytes());
                let (reach, step) = (Reach::Everywhere, Move::Expire);
                store.change(Change { reach, video: *video, step, at: now, event, by: None }).await?;
            }
            Due::File(scope, file) => {
                store.delete_file(*scope, *file, now).await?;
            }
            Due::Record(video) => {
                store.delete(Reach::Everywhere, *video, now, self.by(Actor::Server, now)).await?;
            }
            Due::Garbage(garbage) => self.collect(garbage).await?,
        }
        Ok(())
    }

    /// Removes bytes that nothing names any more.
    pub(super) async fn collect(&self, garbage: &Garbage) -> Result<(), JobsError> {
        let ProjectScope { organization, project } = garbage.scope;
        let keys = match garbage.left {
            Left::File { file } => vec![Key::File { organization, project, file }],
            Left::Input { video } => vec![Key::Input { organization, project, video }],
            Left::Results { video, epoch } => {
                let key = |variant| Key::Result { organization, project, video, epoch, variant };
                Variant::ALL.map(key).to_vec()
            }
        };
        for key in keys {
            self.parts().storage.delete(&key).await?;
        }
        Ok(self.parts().store.forget_garbage(garbage.clone()).await?)
    }
}
