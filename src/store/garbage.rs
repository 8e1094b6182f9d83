//! Files that no job will ever name again: what an execution left that was superseded, failed, expired or deleted.
//! The row is written in the transaction that made them garbage, so a crash forgets none.

use std::time::Duration;

use crate::domain::clock::UnixMillis;
use crate::domain::id::VideoId;
use crate::domain::job::{Job, JobState, JobStatus};
use crate::domain::key::ProjectScope;

/// A superseded worker may still be uploading; after this long it is certainly gone.
const GRACE: Duration = Duration::from_secs(24 * 3600);

/// The files of one execution.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Garbage {
    /// They may be removed from then on.
    pub due: UnixMillis,
    pub scope: ProjectScope,
    pub video: VideoId,
    pub epoch: u32,
}

/// What the step from `before` to `after` left behind.
pub(super) fn left_by_move(before: &JobStatus, after: &Job, at: UnixMillis) -> Option<Garbage> {
    let status = &after.status;
    let lost = before.holder.is_some() && status.holder.is_none() && status.state != JobState::Completed;
    let expired = status.expired && !before.expired;
    let due = if expired { at } else { at.after(GRACE) };
    (lost || expired).then(|| Garbage { due, ..all_of(after, at) })
}

/// What the deletion of an ended job left behind; a job that made nothing leaves nothing.
pub(super) fn left_by_deletion(job: &Job, at: UnixMillis) -> Option<Garbage> {
    (!job.status.assets.is_empty()).then(|| all_of(job, at))
}

fn all_of(job: &Job, due: UnixMillis) -> Garbage {
    let scope = ProjectScope { organization: job.organization, project: job.project };
    Garbage { due, scope, video: job.id, epoch: job.status.epoch }
}
