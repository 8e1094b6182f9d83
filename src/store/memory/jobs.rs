//! Jobs in maps.

use std::sync::PoisonError;

use super::{Memory, Outage, Tables, Use};
use crate::domain::audit::{AuditEntry, AuditKind, Authorship};
use crate::domain::clock::UnixMillis;
use crate::domain::event::Event;
use crate::domain::id::{EventId, VideoId};
use crate::domain::job::{Job, JobState};
use crate::domain::key::ProjectScope;
use crate::domain::limits::{Window, day_of, millis_of};
use crate::domain::model::ModelId;
use crate::domain::usage::UsageRecord;
use crate::store::garbage::{left_by_deletion, left_by_move};
use crate::store::query::cut;
use crate::store::{
    Admission, Admitted, Aged, Change, Garbage, Gates, JobPage, JobQuery, JobStore, Left, Order, Owner,
    Pending, Reach, SecondsGate, StoreError, Tally,
};

impl JobStore for Memory {
    fn admit(&self, admission: Admission) -> Pending<'_, Admitted> {
        self.run(|tables| tables.admit(admission))
    }

    fn change(&self, change: Change) -> Pending<'_, Job> {
        match *self.outage.lock().unwrap_or_else(PoisonError::into_inner) {
            None => self.run(|tables| tables.change(&change)),
            Some(Outage::Silent) => Box::pin(std::future::pending()),
            Some(Outage::Refusing) => {
                Box::pin(std::future::ready(Err(StoreError::Unavailable("out of reach".to_owned()))))
            }
        }
    }

    fn job(&self, reach: Reach, video: VideoId) -> Pending<'_, Option<Job>> {
        self.run(|tables| Ok(tables.jobs.get(&video).filter(|job| reach.covers(job.project)).cloned()))
    }

    fn jobs(&self, scope: ProjectScope, query: JobQuery) -> Pending<'_, JobPage> {
        self.run(|tables| tables.page(scope, &query))
    }

    fn tally(&self, owner: Owner, at: UnixMillis) -> Pending<'_, Tally> {
        self.run(|tables| {
            let (active, running, reserved_ms) = tables.unended(owner, None);
            let day_ms = tables.charged(owner, None, Window::day(at));
            let month_ms = tables.charged(owner, None, Window::month(at));
            Ok(Tally { active, running, reserved_ms, day_ms, month_ms })
        })
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

    fn delete(
        &self,
        reach: Reach,
        video: VideoId,
        at: UnixMillis,
        by: Authorship,
    ) -> Pending<'_, Vec<Garbage>> {
        self.run(|tables| {
            let job = tables.reached(reach, video)?.clone();
            if !job.status.state.is_terminal() {
                return Err(StoreError::NotEnded);
            }
            tables.tenants.append(AuditEntry::of_job(&job, AuditKind::VideoDeleted, by, at))?;
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
        let entry = admission.noted();
        let Admission { job, gates, idempotency, .. } = admission;
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
        self.pass(&job, &gates)?;
        self.tenants.append(entry)?;
        if let Some((key, fingerprint, _)) = used {
            self.used_keys.insert(key, Use { fingerprint, video: job.id, at: job.created_at });
        }
        self.named(Left::Input { video: job.id });
        self.reserved.insert(job.id, gates.reserve_ms);
        self.jobs.insert(job.id, job);
        Ok(Admitted::New)
    }

    fn pass(&self, job: &Job, gates: &Gates) -> Result<(), StoreError> {
        for gate in &gates.active {
            if self.unended(Owner::Project(job.project), gate.model.as_ref()).0 >= gate.most {
                return Err(StoreError::TooManyActive { limit: gate.most });
            }
        }
        for gate in &gates.seconds {
            let model = gate.model.as_ref();
            let used_ms = self.unended(gate.owner, model).2 + self.charged(gate.owner, model, gate.window);
            if used_ms + gates.reserve_ms > gate.most_ms {
                let SecondsGate { most_ms, window, .. } = *gate;
                return Err(StoreError::QuotaSpent { most_ms, used_ms, until: window.until });
            }
        }
        Ok(())
    }

    fn change(&mut self, change: &Change) -> Result<Job, StoreError> {
        let mut job = self.reached(change.reach, change.video)?.clone();
        let before = job.status.clone();
        let kind = job.apply(&change.step, change.at)?;
        if let Some(entry) = change.noted(&before, &job) {
            self.tenants.append(entry)?;
        }
        if let Some(kind) = kind {
            let event = Event::of(&job, kind, change.event, change.at);
            self.events.insert(event.id, (event, false));
        }
        self.garbage.extend(left_by_move(&before, &job, change.at));
        if let Some(record) = UsageRecord::of(&job) {
            self.usage.entry(job.id).or_insert(record);
        }
        if job.status.state.is_terminal() {
            self.reserved.remove(&job.id);
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
        let jobs: Vec<Job> = match query.order {
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
        let (jobs, has_more) = cut(jobs, query.limit);
        Ok(JobPage { jobs, has_more })
    }

    /// What was kept for the telling is forgotten.
    pub(super) fn settle(&mut self, event: EventId) {
        if let Some((event, settled)) = self.events.get_mut(&event) {
            event.facts = None;
            *settled = true;
        }
    }

    /// A record names the bytes from now on.
    pub(super) fn named(&mut self, left: Left) {
        self.garbage.retain(|garbage| garbage.left != left);
    }

    /// Jobs that have not ended, those of them in progress, and the milliseconds promised to them.
    fn unended(&self, owner: Owner, model: Option<&ModelId>) -> (u32, u32, u64) {
        let meant = |job: &&Job| {
            owner.owns(job.organization, job.project)
                && model.is_none_or(|model| *model == job.request.spec.model)
                && !job.status.state.is_terminal()
        };
        self.jobs.values().filter(meant).fold((0, 0, 0), |(active, running, reserved), job| {
            let runs = u32::from(job.status.state == JobState::InProgress);
            (active + 1, running + runs, reserved + self.reserved.get(&job.id).copied().unwrap_or(0))
        })
    }

    /// Milliseconds booked since the window began.
    fn charged(&self, owner: Owner, model: Option<&ModelId>, window: Window) -> u64 {
        let meant = |record: &&UsageRecord| {
            owner.owns(record.organization, record.project)
                && model.is_none_or(|model| *model == record.model)
                && day_of(record.at) >= window.first_day
        };
        self.usage.values().filter(meant).map(|record| millis_of(record.usage.gpu_seconds)).sum()
    }

    fn reached(&self, reach: Reach, video: VideoId) -> Result<&Job, StoreError> {
        self.jobs.get(&video).filter(|job| reach.covers(job.project)).ok_or(StoreError::NotFound)
    }
}
