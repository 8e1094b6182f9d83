//! Housekeeping: assets and files past their time, bytes that nothing names, records past their time.
//! Every step may be cut off and is found again at the next sweep.

use std::time::Duration;

use super::submit::REMEMBER_KEYS;
use super::{Jobs, JobsError};
use crate::domain::asset::Variant;
use crate::domain::audit::Actor;
use crate::domain::clock::UnixMillis;
use crate::domain::id::EventId;
use crate::domain::jump::Jumps;
use crate::domain::key::ProjectScope;
use crate::domain::moves::Move;
use crate::storage::Key;
use crate::store::{Aged, Change, Garbage, Left, Reach, StoreError, Trim};

/// Between two sweeps.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// Rows a sweep takes at once, so that it never holds the store for long.
const BATCH: u32 = 100;

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

impl Jobs {
    /// Sweeps again and again until `shutdown` is there.
    pub async fn run_sweeps(&self, retention: Retention, shutdown: impl Future<Output = ()>) {
        let mut jumps = Jumps::default();
        let mut ticks = tokio::time::interval(SWEEP_EVERY);
        tokio::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => return,
                _ = ticks.tick() => {}
            }
            self.sweep_unless_paused(&mut jumps, &retention).await;
        }
    }

    /// A sweep, unless the wall clock has just jumped: what a wrong clock removes is gone when it is put right.
    pub(super) async fn sweep_unless_paused(&self, jumps: &mut Jumps, retention: &Retention) {
        let (at, now) = (self.parts().clock.now(), self.parts().clock.monotonic());
        if let Some(jump_ms) = jumps.look(at, now) {
            tracing::warn!(jump_ms, "the wall clock has jumped since the last sweep");
        }
        if jumps.trusts(now)
            && let Err(error) = self.sweep(retention, at).await
        {
            tracing::warn!(%error, "a sweep broke off and will be repeated");
        }
    }

    /// Removes everything that is due at `now`.
    pub(super) async fn sweep(&self, retention: &Retention, now: UnixMillis) -> Result<(), JobsError> {
        while self.expire_assets(now).await? == BATCH {}
        while self.expire_files(now).await? == BATCH {}
        while self.purge(now, retention).await? == BATCH {}
        while self.collect_garbage(now).await? == BATCH {}
        let before = |age: Duration| UnixMillis(now.0.saturating_sub(age.as_millis() as u64));
        let trim = Trim {
            idempotency_keys: before(REMEMBER_KEYS),
            events: before(retention.jobs),
            deleted: before(retention.jobs),
        };
        Ok(self.parts().store.trim(trim).await?)
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

    async fn expire_files(&self, now: UnixMillis) -> Result<u32, JobsError> {
        let expired = self.parts().store.expired_files(now, BATCH).await?;
        for file in &expired {
            tolerate_gone(self.parts().store.delete_file(file.scope, file.id, now).await)?;
        }
        Ok(expired.len() as u32)
    }

    async fn expire_assets(&self, now: UnixMillis) -> Result<u32, JobsError> {
        let expired = self.parts().store.aged(Aged::AssetsExpired(now), BATCH).await?;
        for job in &expired {
            let event = EventId::new(now.0, self.parts().random.id_bytes());
            let change = Change {
                reach: Reach::Everywhere,
                video: job.id,
                step: Move::Expire,
                at: now,
                event,
                by: None,
            };
            tolerate_gone(self.parts().store.change(change).await)?;
        }
        Ok(expired.len() as u32)
    }

    async fn purge(&self, now: UnixMillis, retention: &Retention) -> Result<u32, JobsError> {
        let before = UnixMillis(now.0.saturating_sub(retention.jobs.as_millis() as u64));
        let old = self.parts().store.aged(Aged::Ended(before), BATCH).await?;
        for job in &old {
            let by = self.by(Actor::Server, now);
            tolerate_gone(self.parts().store.delete(Reach::Everywhere, job.id, now, by).await)?;
        }
        Ok(old.len() as u32)
    }

    async fn collect_garbage(&self, now: UnixMillis) -> Result<u32, JobsError> {
        let garbage = self.parts().store.garbage(now, BATCH).await?;
        for garbage in &garbage {
            self.collect(garbage).await?;
        }
        Ok(garbage.len() as u32)
    }
}

/// Somebody else was faster.
fn tolerate_gone<T>(result: Result<T, StoreError>) -> Result<(), StoreError> {
    match result {
        Ok(_) | Err(StoreError::NotFound) => Ok(()),
        Err(error) => Err(error),
    }
}
