//! What happened to a job, as the outbox keeps it and webhooks tell it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::clock::UnixMillis;
use super::failure::FailureCode;
use super::id::{EventId, ProjectId, VideoId};
use super::job::Job;
use super::trace::TraceContext;

/// What can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum EventKind {
    #[serde(rename = "video.in_progress")]
    InProgress,
    #[serde(rename = "video.completed")]
    Completed,
    /// Cancellations too.
    #[serde(rename = "video.failed")]
    Failed,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::InProgress, Self::Completed, Self::Failed];

    /// As written on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "video.in_progress",
            Self::Completed => "video.completed",
            Self::Failed => "video.failed",
        }
    }

    /// The kind of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// One row of the outbox, written in the transaction that made it true.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    pub id: EventId,
    pub kind: EventKind,
    pub project: ProjectId,
    pub video: VideoId,
    pub at: UnixMillis,
    /// `None` once it is settled, and in events of older builds.
    pub facts: Option<JobFacts>,
}

/// What is told of the job, as it was when the event happened: the job may be deleted before anybody is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobFacts {
    pub metadata: BTreeMap<String, String>,
    /// Why it failed.
    pub error_code: Option<FailureCode>,
    pub callback_url: Option<String>,
    pub trace: Option<TraceContext>,
}

impl Event {
    /// What has just happened to a job.
    pub fn of(job: &Job, kind: EventKind, id: EventId, at: UnixMillis) -> Self {
        Self { id, kind, project: job.project, video: job.id, at, facts: Some(JobFacts::of(job)) }
    }
}

impl JobFacts {
    /// Those of the job as it is now.
    pub fn of(job: &Job) -> Self {
        Self {
            metadata: job.request.metadata.clone(),
            error_code: job.status.error.as_ref().map(|error| error.code),
            callback_url: job.request.callback_url.clone(),
            trace: job.request.trace.clone(),
        }
    }
}
