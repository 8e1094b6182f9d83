//! Stored bytes that nothing will ever name again: what an execution left that was superseded, failed, expired or
//! deleted, the input of a deleted job, a deleted file. The row is written in the transaction that made them garbage,
//! so a crash forgets none; and before bytes are written that a later transaction is to name, they are garbage to be.

use std::time::Duration;

use crate::domain::clock::UnixMillis;
use crate::domain::id::{FileId, VideoId};
use crate::domain::job::{Job, JobState, JobStatus};
use crate::domain::key::ProjectScope;

/// A superseded worker may still be uploading; after this long it is certainly gone.
const GRACE: Duration = Duration::from_secs(24 * 3600);

/// Bytes to remove.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Garbage {
    /// They may be removed from then on.
    pub due: UnixMillis,
    pub scope: ProjectScope,
    pub left: Left,
}

/// Whose bytes. Ordered as their names are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Left {
    /// An uploaded file.
    File { file: FileId },
    /// The picture that a job started from.
    Input { video: VideoId },
    /// The files of one execution.
    Results { video: VideoId, epoch: u32 },
}

/// What the step from `before` to `after` left behind.
pub(super) fn left_by_move(before: &JobStatus, after: &Job, at: UnixMillis) -> Option<Garbage> {
    let status = &after.status;
    let lost = before.holder.is_some() && status.holder.is_none() && status.state != JobState::Completed;
    let expired = status.expired && !before.expired;
    let due = if expired { at } else { at.after(GRACE) };
    (lost || expired).then(|| results_of(after, due))
}

/// What the deletion of an ended job left behind: its input, if it had one, and the files it made.
pub(super) fn left_by_deletion(job: &Job, at: UnixMillis) -> Vec<Garbage> {
    let input = job.request.input.as_ref().map(|_| Left::Input { video: job.id });
    let input = input.map(|left| Garbage { due: at, scope: scope(job), left });
    let results = (!job.status.assets.is_empty()).then(|| results_of(job, at));
    input.into_iter().chain(results).collect()
}

fn results_of(job: &Job, due: UnixMillis) -> Garbage {
    Garbage { due, scope: scope(job), left: Left::Results { video: job.id, epoch: job.status.epoch } }
}

fn scope(job: &Job) -> ProjectScope {
    ProjectScope { organization: job.organization, project: job.project }
}
