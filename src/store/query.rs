//! What can be asked of the store, and what it answers.

use std::collections::BTreeSet;

use crate::domain::audit::{Actor, AuditEntry, AuditKind, Authorship};
use crate::domain::clock::UnixMillis;
use crate::domain::id::{EventId, OrganizationId, ProjectId, VideoId};
use crate::domain::job::{Job, JobState, JobStatus};
use crate::domain::key::ProjectScope;
use crate::domain::limits::Window;
use crate::domain::model::ModelId;
use crate::domain::moves::Move;
use crate::domain::video::Operation;

/// Whose jobs may be touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The server itself.
    Everywhere,
    /// A caller: everything else does not exist.
    Project(ProjectScope),
}

/// A job to admit.
#[derive(Debug, Clone, PartialEq)]
pub struct Admission {
    pub job: Job,
    pub gates: Gates,
    pub idempotency: Option<Idempotency>,
    /// The id of the entry in the audit log.
    pub entry: EventId,
}

/// What must have room for a job, and what is kept free for it until it ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gates {
    pub active: Vec<ActiveGate>,
    pub seconds: Vec<SecondsGate>,
    /// Milliseconds of a device that the job is expected to be charged.
    pub reserve_ms: u64,
}

/// The most jobs of the project that may be queued or running, this one included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveGate {
    /// `None`: of all models together.
    pub model: Option<ModelId>,
    pub most: u32,
}

/// The most milliseconds that may be charged or promised in a window, those of this job included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecondsGate {
    pub owner: Owner,
    /// `None`: of all models together.
    pub model: Option<ModelId>,
    pub window: Window,
    pub most_ms: u64,
}

/// Whose use is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    Project(ProjectId),
    Organization(OrganizationId),
}

/// What somebody's jobs use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Jobs that are queued or in progress.
    pub active: u32,
    /// Jobs that are in progress.
    pub running: u32,
    /// Promised to jobs that have not ended.
    pub reserved_ms: u64,
    /// Charged in the UTC day.
    pub day_ms: u64,
    /// Charged in the UTC month.
    pub month_ms: u64,
}

/// What makes a repeated request the same request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// Route template and path ids.
    pub route: String,
    pub key: String,
    /// Digest of what was asked for.
    pub fingerprint: String,
    /// Uses of the key before this moment are forgotten.
    pub forget_before: UnixMillis,
}

/// What became of an [`Admission`].
#[derive(Debug, Clone, PartialEq)]
pub enum Admitted {
    New,
    /// The key had been used for this very request; the job is the one made then, as it is now.
    Replayed(Box<Job>),
}

/// A move to make.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    pub reach: Reach,
    pub video: VideoId,
    pub step: Move,
    pub at: UnixMillis,
    /// The id of the event, should the move be worth one.
    pub event: EventId,
    /// Who asked for it; `None`: it is the course of things, which no audit log is about.
    pub by: Option<Authorship>,
}

impl Admission {
    /// What the audit log says of it.
    pub(super) fn noted(&self) -> AuditEntry {
        let by = Authorship { entry: self.entry, actor: Actor::Key(self.job.key) };
        AuditEntry::of_job(&self.job, AuditKind::VideoCreated, by, self.job.created_at)
    }
}

impl Change {
    /// What the audit log says of it, if it made that job of the one before.
    pub(super) fn noted(&self, before: &JobStatus, job: &Job) -> Option<AuditEntry> {
        let told = |status: &JobStatus| (status.state, status.cancel_requested);
        let by = self.by.filter(|_| told(before) != told(&job.status))?;
        Some(AuditEntry::of_job(job, AuditKind::VideoCancelled, by, self.at))
    }
}

/// Newest or oldest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    #[default]
    Newest,
    Oldest,
}

/// Which jobs of a project to list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct JobQuery {
    pub order: Order,
    /// The page begins behind this job, which may have been deleted.
    pub after: Option<VideoId>,
    pub limit: u32,
    pub filter: JobFilter,
}

/// Conditions that a listed job meets; an absent one holds for all.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct JobFilter {
    pub state: Option<JobState>,
    pub model: Option<ModelId>,
    pub operation: Option<Operation>,
    /// Exclusive.
    pub created_after: Option<UnixMillis>,
    /// Exclusive.
    pub created_before: Option<UnixMillis>,
    /// Equal to the seed used.
    pub seed: Option<u32>,
    /// All of these pairs.
    pub metadata: Vec<(String, String)>,
    /// One of these.
    pub ids: Option<BTreeSet<VideoId>>,
}

/// A page of jobs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct JobPage {
    pub jobs: Vec<Job>,
    /// Whether another page follows.
    pub has_more: bool,
}

/// Jobs that time has overtaken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aged {
    /// Completed, with assets that should have vanished by this moment.
    AssetsExpired(UnixMillis),
    /// Ended before this moment.
    Ended(UnixMillis),
}

/// Rows that nobody asks for any more: those older than these moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trim {
    /// By their use.
    pub idempotency_keys: UnixMillis,
    /// By when they happened; only settled ones.
    pub events: UnixMillis,
    /// What is remembered of deleted jobs and files, by their deletion.
    pub deleted: UnixMillis,
}

/// Which bookings to read: those with `from <= at < to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsageQuery {
    pub organization: OrganizationId,
    /// `None` is every project of the organisation.
    pub project: Option<ProjectId>,
    pub from: UnixMillis,
    pub to: UnixMillis,
}

impl Reach {
    /// Whether a job of `project` may be touched.
    pub fn covers(self, project: ProjectId) -> bool {
        match self {
            Self::Everywhere => true,
            Self::Project(scope) => scope.project == project,
        }
    }
}

impl Owner {
    /// Whether a job of that organisation and project counts.
    pub fn owns(self, organization: OrganizationId, project: ProjectId) -> bool {
        match self {
            Self::Project(own) => own == project,
            Self::Organization(own) => own == organization,
        }
    }
}

/// The page itself, of rows asked for with one more than fits, and whether another page follows.
pub(super) fn cut<T>(mut rows: Vec<T>, limit: u32) -> (Vec<T>, bool) {
    let has_more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    (rows, has_more)
}

impl JobFilter {
    /// Whether the job meets every condition.
    pub fn accepts(&self, job: &Job) -> bool {
        let spec = &job.request.spec;
        self.state.is_none_or(|state| state == job.status.state)
            && self.model.as_ref().is_none_or(|model| *model == spec.model)
            && self.operation.is_none_or(|operation| operation == spec.operation)
            && self.created_after.is_none_or(|after| job.created_at > after)
            && self.created_before.is_none_or(|before| job.created_at < before)
            && self.seed.is_none_or(|seed| seed == spec.seed)
            && self.ids.as_ref().is_none_or(|ids| ids.contains(&job.id))
            && self.metadata.iter().all(|(name, value)| job.request.metadata.get(name) == Some(value))
    }
}
