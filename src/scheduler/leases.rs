//! The jobs that workers hold, watched on a clock that never jumps.
//! A lease ends when its heartbeat has not risen for the time to live; wall time is never asked.

use std::collections::HashMap;
use std::time::Duration;

use super::policy::{FIRST_HEARTBEAT, LEASE_TTL, PUBLISH_PATIENCE};
use crate::domain::clock::Moment;
use crate::domain::id::{VideoId, WorkerId};
use crate::domain::job::Job;
use crate::domain::stage::Stage;

/// A job in the hands of a worker.
#[derive(Debug, Clone)]
pub(super) struct Held {
    /// As it was when handed out, or at the last recorded progress.
    pub(super) job: Job,
    /// Predicted seconds of a device, as charged.
    pub(super) cost: f64,
    pub(super) since: Moment,
    sequence: u64,
    seen: Moment,
    /// A heartbeat has come.
    heard: bool,
    /// Its files are on their way, be that written or not.
    publishing: bool,
}

/// Why a lease is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overdue {
    /// The hand-out never arrived.
    NeverHeard,
    Silent,
    /// It beats, but takes too long.
    TooLong,
}

#[derive(Debug, Default)]
pub(super) struct Leases {
    by_video: HashMap<VideoId, Held>,
}

impl Held {
    fn new(job: Job, cost: f64, now: Moment, heard: bool) -> Self {
        let publishing = job.status.stage == Stage::Uploading;
        Self { job, cost, since: now, sequence: 0, seen: now, heard, publishing }
    }

    /// Takes in a heartbeat; one that does not rise is no sign of life.
    pub(super) fn beat(&mut self, sequence: u64, stage: Stage, now: Moment) {
        if sequence > self.sequence || !self.heard {
            self.sequence = sequence;
            self.seen = now;
            self.heard = true;
            self.publishing = stage == Stage::Uploading;
        }
    }

    /// Takes in the job as the store has it. Somebody may have wished meanwhile that it stops.
    pub(super) fn recorded(&mut self, job: Job) {
        let cancel = self.job.status.cancel_requested;
        self.job = job;
        self.job.status.cancel_requested |= cancel;
    }

    pub(super) fn worker(&self) -> Option<WorkerId> {
        self.job.status.holder.as_ref().map(|holder| holder.worker)
    }
}

impl Leases {
    /// Watches a job just handed out.
    pub(super) fn handed_out(&mut self, job: Job, cost: f64, now: Moment) {
        self.by_video.insert(job.id, Held::new(job, cost, now, false));
    }

    /// Watches a job that was found running: it has a full time to live from now.
    pub(super) fn found(&mut self, job: Job, cost: f64, now: Moment) {
        self.by_video.insert(job.id, Held::new(job, cost, now, true));
    }

    /// The lease, if `epoch` is the current one.
    pub(super) fn get(&mut self, video: VideoId, epoch: u32) -> Option<&mut Held> {
        self.by_video.get_mut(&video).filter(|held| held.job.status.epoch == epoch)
    }

    /// The lease whoever has it.
    pub(super) fn any(&mut self, video: VideoId) -> Option<&mut Held> {
        self.by_video.get_mut(&video)
    }

    pub(super) fn remove(&mut self, video: VideoId, epoch: u32) -> Option<Held> {
        self.get(video, epoch)?;
        self.by_video.remove(&video)
    }

    /// A job handed to the worker that it does not seem to know of.
    pub(super) fn unheard(&self, worker: WorkerId) -> Option<&Held> {
        self.by_video.values().find(|held| !held.heard && held.worker() == Some(worker))
    }

    /// The jobs of a worker.
    pub(super) fn of(&self, worker: WorkerId) -> Vec<VideoId> {
        let held = self.by_video.values().filter(|held| held.worker() == Some(worker));
        held.map(|held| held.job.id).collect()
    }

    /// The jobs of a worker by its name, which outlives its process and this server's.
    pub(super) fn of_name(&self, name: &str) -> Vec<(VideoId, u32)> {
        let held = self
            .by_video
            .values()
            .filter(|held| held.job.status.holder.as_ref().is_some_and(|holder| holder.name == name));
        held.map(|held| (held.job.id, held.job.status.epoch)).collect()
    }

    /// Everything that is over at `now`.
    pub(super) fn overdue(&self, now: Moment, execution_timeout: Duration) -> Vec<(VideoId, u32, Overdue)> {
        let overdue = |held: &Held| {
            let silence = now.since(held.seen);
            let patience =
                if held.publishing { execution_timeout + PUBLISH_PATIENCE } else { execution_timeout };
            if !held.heard && silence >= FIRST_HEARTBEAT {
                Some(Overdue::NeverHeard)
            } else if silence >= LEASE_TTL {
                Some(Overdue::Silent)
            } else if now.since(held.since) >= patience {
                Some(Overdue::TooLong)
            } else {
                None
            }
        };
        let held = self.by_video.values();
        held.filter_map(|held| overdue(held).map(|why| (held.job.id, held.job.status.epoch, why))).collect()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Held> {
        self.by_video.values()
    }

    pub(super) fn len(&self) -> usize {
        self.by_video.len()
    }
}
