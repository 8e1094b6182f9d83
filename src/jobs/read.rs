//! Reading, waiting, cancelling, deleting, and the way to a job's files.

use std::time::Duration;

use super::{JobView, Jobs, JobsError};
use crate::domain::asset::{Asset, Variant};
use crate::domain::audit::{Actor, Authorship};
use crate::domain::clock::UnixMillis;
use crate::domain::id::{EventId, ProjectId, VideoId};
use crate::domain::job::{Job, JobState};
use crate::domain::key::ProjectScope;
use crate::domain::moves::{BadMove, Move};
use crate::scheduler::Watch;
use crate::storage::{Chunks, Key, ReadLink};
use crate::store::{Change, Garbage, JobPage, JobQuery, Owner, Reach, StoreError, Tally};

/// A file of a completed job.
#[derive(Debug, Clone, PartialEq)]
pub struct Content {
    pub asset: Asset,
    pub completed_at: UnixMillis,
    pub expires_at: UnixMillis,
    key: Key,
}

impl Jobs {
    /// The job, or [`JobsError::NotFound`], also for a job of another project.
    pub async fn get(&self, scope: ProjectScope, video: VideoId) -> Result<JobView, JobsError> {
        let job = self.parts().store.job(Reach::Project(scope), video).await?.ok_or(JobsError::NotFound)?;
        Ok(self.view(job))
    }

    /// A page of the project's jobs.
    pub async fn list(
        &self,
        scope: ProjectScope,
        query: JobQuery,
    ) -> Result<(Vec<JobView>, bool), JobsError> {
        let page = self.parts().store.jobs(scope, query).await;
        if let Err(StoreError::NotFound) = page {
            return Err(JobsError::UnknownAfter);
        }
        let JobPage { jobs, has_more } = page?;
        Ok((jobs.into_iter().map(|job| self.view(job)).collect(), has_more))
    }

    /// What the jobs of a project or organisation use now.
    pub async fn tally(&self, owner: Owner) -> Result<Tally, JobsError> {
        Ok(self.parts().store.tally(owner, self.parts().clock.now()).await?)
    }

    /// Its place in line, while it waits for its first worker.
    pub fn place(&self, video: VideoId) -> Option<u64> {
        self.parts().scheduler.place(video)
    }

    /// Wakes at every change of the job from now on. A hint: read the job again.
    pub fn watch(&self, video: VideoId) -> Watch {
        self.parts().scheduler.watch(video)
    }

    /// The job once it has ended, or as it is after `patience`.
    pub async fn wait(
        &self,
        scope: ProjectScope,
        video: VideoId,
        patience: Duration,
    ) -> Result<JobView, JobsError> {
        /// How often the row is read although nothing was announced: waking is a hint, reading is the guarantee.
        const READ_ANYWAY: Duration = Duration::from_secs(1);
        let deadline = tokio::time::Instant::now() + patience;
        let mut watch = self.watch(video);
        loop {
            let view = self.get(scope, video).await?;
            if view.job.status.state.is_terminal() || tokio::time::Instant::now() >= deadline {
                return Ok(view);
            }
            let next_read = deadline.min(tokio::time::Instant::now() + READ_ANYWAY);
            tokio::select! {
                () = watch.changed() => {}
                () = tokio::time::sleep_until(next_read) => {}
            }
        }
    }

    /// Cancels: a waiting job at once, a running one at its next step. A job already cancelled is answered as it is.
    pub async fn cancel(
        &self,
        scope: ProjectScope,
        video: VideoId,
        actor: Actor,
    ) -> Result<JobView, JobsError> {
        let jobs = self.clone();
        let cancelling =
            self.inner.submissions.spawn(async move { jobs.cancel_whole(scope, video, actor).await });
        cancelling.await.unwrap_or(Err(JobsError::Draining))
    }

    /// Deletes an ended job, its input and its files. [`JobsError::InProgress`] if it has not ended.
    pub async fn delete(&self, scope: ProjectScope, video: VideoId, actor: Actor) -> Result<(), JobsError> {
        let at = self.parts().clock.now();
        let left = self.parts().store.delete(Reach::Project(scope), video, at, self.by(actor, at)).await?;
        self.parts().scheduler.announce(video);
        self.erase(&left).await;
        Ok(())
    }

    /// Removes garbage now if it can be; what cannot is found again by the sweep.
    pub(super) async fn erase(&self, garbage: &[Garbage]) {
        for garbage in garbage {
            if let Err(error) = self.collect(garbage).await {
                tracing::warn!(%error, "deleted bytes are still stored; they will be removed later");
            }
        }
    }

    /// The way to a file of a completed job.
    pub async fn content(
        &self,
        scope: ProjectScope,
        video: VideoId,
        variant: Variant,
    ) -> Result<Content, JobsError> {
        let JobView { job, outlook } = self.get(scope, video).await?;
        match job.status.state {
            JobState::Queued | JobState::InProgress => {
                return Err(JobsError::NotReady { eta_seconds: outlook.eta_seconds });
            }
            JobState::Failed => return Err(JobsError::NotAvailable),
            JobState::Completed => {}
        }
        let expires_at = job.status.expires_at.unwrap_or_default();
        if job.status.expired || self.parts().clock.now() >= expires_at {
            return Err(JobsError::Expired);
        }
        let asset = job.asset(variant).ok_or(JobsError::NoSuchVariant)?.clone();
        let completed_at = job.status.finished_at.unwrap_or_default();
        Ok(Content { asset, completed_at, expires_at, key: result_key(&job, variant) })
    }

    /// The bytes of a file, whole or in part.
    pub async fn read(
        &self,
        content: &Content,
        range: Option<std::ops::Range<u64>>,
    ) -> Result<Chunks, JobsError> {
        Ok(self.parts().storage.get(&content.key, range).await?)
    }

    /// An address of the storage from which anyone can read the file for a while; `None` where it has none to give.
    pub async fn link(
        &self,
        content: &Content,
        lives: Duration,
        disposition: &str,
    ) -> Result<Option<String>, JobsError> {
        let link = ReadLink { lives, content_type: content.asset.variant.content_type(), disposition };
        Ok(self.parts().storage.read_link(&content.key, link).await?)
    }

    /// Who it is, for the audit log.
    pub(super) fn by(&self, actor: Actor, at: UnixMillis) -> Authorship {
        Authorship { entry: EventId::new(at.0, self.parts().random.id_bytes()), actor }
    }

    async fn cancel_whole(
        &self,
        scope: ProjectScope,
        video: VideoId,
        actor: Actor,
    ) -> Result<JobView, JobsError> {
        let at = self.parts().clock.now();
        let event = EventId::new(at.0, self.parts().random.id_bytes());
        let by = Some(self.by(actor, at));
        let change = Change { reach: Reach::Project(scope), video, step: Move::Cancel, at, event, by };
        let changed = self.parts().store.change(change).await;
        if let Err(StoreError::Move(BadMove::Ended { state })) = changed {
            return Err(JobsError::NotCancellable(state));
        }
        let job = changed?;
        self.parts().scheduler.cancelled(&job);
        Ok(self.view(job))
    }
}

/// Where a file of the job's last execution lies.
fn result_key(job: &Job, variant: Variant) -> Key {
    let (organization, project): (_, ProjectId) = (job.organization, job.project);
    Key::Result { organization, project, video: job.id, epoch: job.status.epoch, variant }
}
