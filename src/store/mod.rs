//! Durable truth: jobs, the outbox, bookings, tenants and keys. Knows what a move means only through `domain`;
//! never decides which job runs, and never holds anything that exists nowhere else.
//!
//! Two implementers: [`SqlStore`] on either engine, and [`Memory`], the model that it is compared with in `suite`.

mod audit_chains;
#[cfg(test)]
#[path = "../../tests/it/support/postgres.rs"]
mod cluster;
mod error;
mod files;
#[cfg(test)]
mod files_suite;
mod garbage;
mod held;
#[cfg(test)]
mod history;
mod lock_file;
mod memory;
pub mod postgres;
mod query;
mod sql;
pub mod sqlite;
#[cfg(test)]
mod suite;
mod tenants;
#[cfg(test)]
mod tenants_suite;
mod webhooks;
#[cfg(test)]
mod webhooks_suite;

use std::pin::Pin;

pub use audit_chains::{FollowedChain, follow_chains};
pub use error::StoreError;
pub use files::{FilePage, FileQuery, FileStore};
pub use garbage::{Garbage, Left};
pub use held::{HeldStore, HeldWrites, hold_back, holding, once_durable, together};
pub use lock_file::LockFile;
pub use memory::{Asked, Memory, Outage};
pub use query::{
    ActiveGate, Admission, Admitted, Aged, Change, Gates, Idempotency, JobFilter, JobPage, JobQuery, Order,
    Owner, Reach, SecondsGate, Tally, Trim, UsageQuery,
};
pub use sql::SqlStore;
pub use tenants::{
    Answer, AnswerKey, AnswerStore, AuditPage, AuditQuery, AuditStore, KeyStore, KeysOf, TenantStore,
};
pub use webhooks::{Claim, DeliveryPage, DeliveryQuery, DeliveryStore, EndpointStore};

use crate::domain::audit::Authorship;
use crate::domain::clock::UnixMillis;
use crate::domain::estimate::Estimate;
use crate::domain::event::Event;
use crate::domain::id::{EventId, VideoId};
use crate::domain::job::Job;
use crate::domain::key::ProjectScope;
use crate::domain::usage::UsageRecord;

/// The future of a store operation. What it answers is durable.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Everything durable.
pub trait Store:
    JobStore
    + FileStore
    + GarbageStore
    + OutboxStore
    + UsageStore
    + EstimateStore
    + TenantStore
    + KeyStore
    + AuditStore
    + AnswerStore
    + EndpointStore
    + DeliveryStore
    + HeldStore
{
}

impl<T> Store for T where
    T: JobStore
        + FileStore
        + GarbageStore
        + OutboxStore
        + UsageStore
        + EstimateStore
        + TenantStore
        + KeyStore
        + AuditStore
        + AnswerStore
        + EndpointStore
        + DeliveryStore
        + HeldStore
{
}

/// The jobs.
pub trait JobStore: Send + Sync {
    /// Admits a job together with its idempotency key and its entry in the audit log, or none of them.
    /// Its input is no garbage any more.
    fn admit(&self, admission: Admission) -> Pending<'_, Admitted>;

    /// Makes a move. In the same transaction: the event, the entry in the audit log if somebody did it and it changed
    /// something, and at the end of a job its booking. Answers the job after it.
    fn change(&self, change: Change) -> Pending<'_, Job>;

    /// The job, if it exists within reach.
    fn job(&self, reach: Reach, video: VideoId) -> Pending<'_, Option<Job>>;

    /// A page of a project's jobs by time of creation. [`StoreError::NotFound`] if `after` never was a job of the project.
    fn jobs(&self, scope: ProjectScope, query: JobQuery) -> Pending<'_, JobPage>;

    /// What the jobs of a project or organisation use at `at`.
    fn tally(&self, owner: Owner, at: UnixMillis) -> Pending<'_, Tally>;

    /// Every job that has not ended, oldest first: what a scheduler starts from.
    fn unfinished(&self) -> Pending<'_, Vec<Job>>;

    /// Up to `limit` jobs that time has overtaken.
    fn aged(&self, aged: Aged, limit: u32) -> Pending<'_, Vec<Job>>;

    /// Forgets an ended job; its bookings and events stay. Answers what it left, which is garbage now.
    fn delete(
        &self,
        reach: Reach,
        video: VideoId,
        at: UnixMillis,
        by: Authorship,
    ) -> Pending<'_, Vec<Garbage>>;
}

/// Bytes to remove.
pub trait GarbageStore: Send + Sync {
    /// Notes bytes that are about to be written as garbage, until a record is made that names them.
    fn reserve(&self, garbage: Garbage) -> Pending<'_, ()>;

    /// Up to `limit` of those due at `now`, oldest first.
    fn garbage(&self, now: UnixMillis, limit: u32) -> Pending<'_, Vec<Garbage>>;

    /// They have been removed.
    fn forget_garbage(&self, garbage: Garbage) -> Pending<'_, ()>;

    /// Forgets rows that nobody asks for any more, so that no table grows for ever.
    fn trim(&self, trim: Trim) -> Pending<'_, ()>;
}

/// What happened and has not been told yet.
pub trait OutboxStore: Send + Sync {
    /// Up to `limit` events that are not settled, oldest first.
    fn pending_events(&self, limit: u32) -> Pending<'_, Vec<Event>>;

    /// Every event of a job, oldest first, settled ones too.
    fn events(&self, reach: Reach, video: VideoId) -> Pending<'_, Vec<Event>>;

    /// Nothing more is to be done about it; what it knew of its job is forgotten.
    fn settle_event(&self, event: EventId) -> Pending<'_, ()>;
}

/// What has been booked.
pub trait UsageStore: Send + Sync {
    /// The bookings asked for, oldest first.
    fn usage(&self, query: UsageQuery) -> Pending<'_, Vec<UsageRecord>>;
}

/// Measured costs, kept so that a restart does not forget them.
pub trait EstimateStore: Send + Sync {
    /// All of them.
    fn estimates(&self) -> Pending<'_, Vec<Estimate>>;

    /// Replaces the estimate of that shape.
    fn save_estimate(&self, estimate: Estimate) -> Pending<'_, ()>;
}
