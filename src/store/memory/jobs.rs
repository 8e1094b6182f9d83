//! Jobs in maps.

use super::{Memory, Tables, Use};
use crate::domain::clock::UnixMillis;
use crate::domain::event::Event;
use crate::domain::id::VideoId;
use crate::domain::job::{Job, JobState};
use crate::domain::key::ProjectScope;
use crate::domain::usage::UsageRecord;
use crate::store::garbage::{left_by_deletion, left_by_move};
use crate::store::{
    Admission, Admitted, Aged, Change, Garbage, JobPage, JobQuery, JobStore, Left, Order, Pending, Reach,
    StoreError,
};

impl JobStore for Memory {
    fn admit(&self, admission: Admission) -> Pending<'_, Admitted> {
        self.run(|tables| tables.admit(admission))
    }

    fn change(&self, change: Change) -> Pending<'_, Job> {
        self.run(|tables| tables.change(&change))
    }

    fn job(&self, reach: Reach, video: VideoId) -> Pending<'_, Option<Job>> {
        self.run(|tables| Ok(tables.jobs.get(&video).filter(|job| reach.covers(job.project)).cloned()))
    }

    fn jobs(&self, scope: ProjectScope, query: JobQuery) -> Pending<'_, JobPage> {
        self.run(|tables| tables.page(scope, &query))
    }

    fn active_jobs(&self, scope: ProjectScope) -> Pending<'_, u32> {
        self.run(|tables| Ok(tables.active(scope)))
    }

    fn unfinished(&self) -> Pending<'_, Vec<Job>> {
        self.run(|tables| {
            let unfinished = tables.jobs.values().filter(|job| !job.status.state.is_terminal());
            Ok(unfinished.cloned().collect())
        })
    }

    fn aged(&self, aged: Aged, limit: u32) -> Pending<'_, Vec<Job>> {
        self.run(|tables| {
            let meant = |job: &&Job| match aged {
                Aged::AssetsExpired(now) => {
                    !job.status.expired && job.status.expires_at.is_some_and(|expiry| expiry <= now)
                }
                Aged::Ended(before) => job.status.finished_at.is_some_and(|end| end < before),
            };
            Ok(tables.jobs.values().filter(meant).take(limit as usize).cloned().collect())
        })
    }

    fn delete(&self, reach: Reach, video: VideoId, at: UnixMillis) -> Pending<'_, Vec<Garbage>> {
        self.run(|tables| {
            let job = tables.reached(reach, video)?.clone();
            if !job.status.state.is_terminal() {
                return Err(StoreError::NotEnded);
            }
            tables.jobs.remove(&video);
            tables.gone.insert(video, (job.project, at));
            let garbage = left_by_deletion(&job, at);
            tables.garbage.extend(garbage.clone());
            Ok(garbage)
        })
    }
}

impl Tables {
    fn admit(&mut self, admission: Admission) -> Result<Admitted, StoreError> {
        let Admission { job, max_active, idempotency } = admission;
        let used = idempotency
            .map(|use_| ((job.project, use_.route, use_.key), use_.fingerprint, use_.forget_before));
        if let Some((key, fingerprint, forget_before)) = &used
            && let Some(earlier) = self.used_keys.get(key).filter(|earlier| earlier.at >= *forget_before)
            && let Some(first) = self.jobs.get(&earlier.video)
        {
            let same = earlier.fingerprint == *fingerprint;
            return if same {
                Ok(Admitted::Replayed(Box::new(first.clone())))
            } else {
                Err(StoreError::KeyReused)
            };
        }
        if self.jobs.contains_key(&job.id) {
            return Err(StoreError::Exists);
        }
        let scope = ProjectScope { organization: job.organization, project: job.project };
        if let Some(limit) = max_active.filter(|limit| self.active(scope) >= *limit) {
            return Err(StoreError::TooManyActive { limit });
        }
        if let Some((key, fingerprint, _)) = used {
            self.used_keys.insert(key, Use { fingerprint, video: job.id, at: job.created_at });
        }
        self.named(Left::Input { video: job.id });
        self.jobs.insert(job.id, job);
        Ok(Admitted::New)
    }

    fn change(&mut self, change: &Change) -> Result<Job, StoreError> {
        let mut job = self.reached(change.reach, change.video)?.clone();
        let before = job.status.clone();
        let kind = job.apply(&change.step, change.at)?;
        if let Some(kind) = kind {
            let event = Event { id: change.event, kind, project: job.project, video: job.id, at: change.at };
            self.events.insert(event.id, (event, false));
        }
        self.garbage.extend(left_by_move(&before, &job, change.at));
        if let Some(record) = UsageRecord::of(&job) {
            self.usage.entry(job.id).or_insert(record);
        }
        self.jobs.insert(job.id, job.clone());
        Ok(job)
    }

    fn page(&self, scope: ProjectScope, query: &JobQuery) -> Result<JobPage, StoreError> {
        if let Some(after) = query.after {
            let known = self.jobs.get(&after).map(|job| job.project);
            let known = known.or(self.gone.get(&after).map(|(project, _)| *project));
            if known != Some(scope.project) {
                return Err(StoreError::NotFound);
            }
        }
        let mine = self.jobs.values().filter(|job| job.project == scope.project && query.filter.accepts(job));
        let wanted = query.limit as usize + 1;
        let mut jobs: Vec<Job> = match query.order {
            Order::Oldest => mine
                .filter(|job| query.after.is_none_or(|after| job.id > after))
                .take(wanted)
                .cloned()
                .collect(),
            Order::Newest => mine
                .rev()
                .filter(|job| query.after.is_none_or(|after| job.id < after))
                .take(wanted)
                .cloned()
                .collect(),
        };
        let has_more = jobs.len() == wanted;
        jobs.truncate(query.limit as usize);
        Ok(JobPage { jobs, has_more })
    }

    /// A record names the bytes from now on.
    pub(super) fn named(&mut self, left: Left) {
        self.garbage.retain(|garbage| garbage.left != left);
    }

    fn active(&self, scope: ProjectScope) -> u32 {
        let active = |job: &&Job| {
            job.project == scope.project
                && matches!(job.status.state, JobState::Queued | JobState::InProgress)
        };
        self.jobs.values().filter(active).count() as u32
    }

    fn reached(&self, reach: Reach, video: VideoId) -> Result<&Job, StoreError> {
        self.jobs.get(&video).filter(|job| reach.covers(job.project)).ok_or(StoreError::NotFound)
    }
}
