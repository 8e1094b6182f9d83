//! The model of the store: plain maps behind one lock. The definition that the SQL store is compared with,
//! and the store of tests. Nothing survives the process.

mod files;
mod jobs;
mod tenants;
mod webhooks;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::held::{HeldWrites, hold};
use super::{
    EstimateStore, Garbage, GarbageStore, HeldStore, OutboxStore, Pending, Reach, StoreError, Trim,
    UsageQuery, UsageStore,
};
use crate::domain::clock::UnixMillis;
use crate::domain::estimate::{Estimate, Shape};
use crate::domain::event::Event;
use crate::domain::file::StoredFile;
use crate::domain::id::{EventId, FileId, ProjectId, VideoId};
use crate::domain::job::Job;
use crate::domain::usage::UsageRecord;

/// A store that forgets.
#[derive(Debug, Default)]
pub struct Memory {
    tables: Mutex<Tables>,
    /// What was asked, and by which thread, while somebody wants to know.
    asked: Mutex<Option<Vec<Asked>>>,
    /// How moves fail, while they do.
    outage: Mutex<Option<Outage>>,
}

/// How a store that is out of reach shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    Refusing,
    /// It does not answer at all.
    Silent,
}

/// An operation of the store, by the name of its code, and the thread that asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    pub operation: &'static str,
    pub thread: Option<String>,
}

#[derive(Debug, Clone, Default)]
struct Tables {
    jobs: BTreeMap<VideoId, Job>,
    /// Deleted jobs, their projects and when: a page may still begin behind one.
    gone: BTreeMap<VideoId, (ProjectId, UnixMillis)>,
    files: BTreeMap<FileId, StoredFile>,
    /// The same of files.
    gone_files: BTreeMap<FileId, (ProjectId, UnixMillis)>,
    garbage: BTreeSet<Garbage>,
    used_keys: HashMap<UsedKey, Use>,
    /// The flag says whether it is settled.
    events: BTreeMap<EventId, (Event, bool)>,
    usage: BTreeMap<VideoId, UsageRecord>,
    estimates: BTreeMap<Shape, Estimate>,
    /// Milliseconds promised to jobs that have not ended.
    reserved: BTreeMap<VideoId, u64>,
    tenants: tenants::Tables,
    webhooks: webhooks::Tables,
}

/// A write that can be held back.
type Write = Box<dyn FnOnce(&mut Tables) -> Result<(), StoreError> + Send>;

/// Project, route and idempotency key.
type UsedKey = (ProjectId, String, String);

#[derive(Debug, Clone)]
struct Use {
    fingerprint: String,
    video: VideoId,
    at: UnixMillis,
}

impl Memory {
    /// What was asked since the last call, in order; the first call begins to listen.
    pub fn take_asked(&self) -> Vec<Asked> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.replace(Vec::new()).unwrap_or_default()
    }

    /// Takes no moves of jobs from now on, or takes them again.
    pub fn fail_moves(&self, outage: Option<Outage>) {
        *self.outage.lock().unwrap_or_else(PoisonError::into_inner) = outage;
    }

    fn note(&self, operation: &'static str) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(asked) = &mut *asked {
            asked.push(Asked { operation, thread: std::thread::current().name().map(str::to_owned) });
        }
    }

    /// Runs the operation under the lock; it is over when the future is made.
    fn run<'a, T: Send + 'a, F>(&self, operation: F) -> Pending<'a, T>
    where
        F: FnOnce(&mut Tables) -> Result<T, StoreError>,
    {
        self.note(std::any::type_name::<F>());
        let answer = operation(&mut self.lock());
        Box::pin(async move { answer })
    }

    /// The same for a write that has nothing to tell: held back where writes are.
    fn write<'a>(
        &self,
        operation: impl FnOnce(&mut Tables) -> Result<(), StoreError> + Send + 'static,
    ) -> Pending<'a, ()> {
        match hold::<Write>(Box::new(operation)) {
            Ok(()) => Box::pin(std::future::ready(Ok(()))),
            Err(operation) => self.run(operation),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HeldStore for Memory {
    fn commit(&self, held: HeldWrites) -> Pending<'_, ()> {
        let (writes, afterwards) = held.parts::<Write>();
        let written = self.run(|tables| {
            let before = tables.clone();
            let written = writes.into_iter().try_for_each(|write| write(tables));
            if written.is_err() {
                *tables = before;
            }
            written
        });
        Box::pin(async move { written.await.map(|()| afterwards()) })
    }
}

impl GarbageStore for Memory {
    fn reserve(&self, garbage: Garbage) -> Pending<'_, ()> {
        self.run(|tables| {
            tables.garbage.insert(garbage);
            Ok(())
        })
    }

    fn garbage(&self, now: UnixMillis, limit: u32) -> Pending<'_, Vec<Garbage>> {
        self.run(|tables| {
            let due = tables.garbage.iter().take_while(|garbage| garbage.due <= now);
            Ok(due.take(limit as usize).cloned().collect())
        })
    }

    fn forget_garbage(&self, garbage: Garbage) -> Pending<'_, ()> {
        self.run(|tables| {
            tables.garbage.remove(&garbage);
            Ok(())
        })
    }

    fn trim(&self, trim: Trim) -> Pending<'_, ()> {
        self.run(|tables| {
            tables.used_keys.retain(|_, used| used.at >= trim.idempotency_keys);
            tables.tenants.answers.retain(|_, answer| answer.answered_at >= trim.idempotency_keys);
            tables.events.retain(|_, (event, settled)| !*settled || event.at >= trim.events);
            tables.gone.retain(|_, (_, at)| *at >= trim.deleted);
            tables.gone_files.retain(|_, (_, at)| *at >= trim.deleted);
            Ok(())
        })
    }
}

impl OutboxStore for Memory {
    fn pending_events(&self, limit: u32) -> Pending<'_, Vec<Event>> {
        self.run(|tables| {
            let pending = tables.events.values().filter(|(_, settled)| !settled);
            Ok(pending.map(|(event, _)| event.clone()).take(limit as usize).collect())
        })
    }

    fn events(&self, reach: Reach, video: VideoId) -> Pending<'_, Vec<Event>> {
        self.run(|tables| {
            let events = tables.events.values().map(|(event, _)| event);
            let events = events.filter(|event| event.video == video && reach.covers(event.project));
            Ok(events.cloned().collect())
        })
    }

    fn settle_event(&self, event: EventId) -> Pending<'_, ()> {
        self.run(|tables| {
            tables.settle(event);
            Ok(())
        })
    }
}

impl UsageStore for Memory {
    fn usage(&self, query: UsageQuery) -> Pending<'_, Vec<UsageRecord>> {
        self.run(|tables| {
            let meant = |record: &&UsageRecord| {
                record.organization == query.organization
                    && query.project.is_none_or(|project| project == record.project)
                    && (query.from..query.to).contains(&record.at)
            };
            let mut records: Vec<_> = tables.usage.values().filter(meant).cloned().collect();
            records.sort_by_key(|record| (record.at, record.video));
            Ok(records)
        })
    }
}

impl EstimateStore for Memory {
    fn estimates(&self) -> Pending<'_, Vec<Estimate>> {
        self.run(|tables| Ok(tables.estimates.values().cloned().collect()))
    }

    fn save_estimate(&self, estimate: Estimate) -> Pending<'_, ()> {
        self.run(|tables| {
            tables.estimates.insert(estimate.shape.clone(), estimate);
            Ok(())
        })
    }
}
