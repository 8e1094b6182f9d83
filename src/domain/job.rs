//! A job: what was asked for, which never changes, and how far it is, which changes only by the moves in `moves`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::asset::{Asset, InputImage, Variant};
use super::clock::UnixMillis;
use super::failure::FailureCode;
use super::id::{KeyId, OrganizationId, ProjectId, VideoId, WorkerId};
use super::stage::{Stage, Timings};
use super::trace::TraceContext;
use super::usage::Usage;
use super::video::VideoSpec;
use super::warning::Warning;

/// One video job.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    pub id: VideoId,
    pub organization: OrganizationId,
    pub project: ProjectId,
    /// The key it was submitted with.
    pub key: KeyId,
    pub created_at: UnixMillis,
    pub request: JobRequest,
    pub status: JobStatus,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobRequest {
    pub spec: VideoSpec,
    /// The model name as the caller sent it; `None` if they sent none.
    pub requested_model: Option<String>,
    pub remixed_from: Option<VideoId>,
    pub input: Option<InputImage>,
    pub metadata: BTreeMap<String, String>,
    /// How long the assets live after completion.
    pub asset_ttl_seconds: u64,
    pub callback_url: Option<String>,
    /// What was doubtful about the request itself.
    pub warnings: Vec<Warning>,
    /// The request that made the job, as a parent of what is done for it; jobs of older builds have none.
    #[serde(default)]
    pub trace: Option<TraceContext>,
}

/// How far it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobStatus {
    pub state: JobState,
    /// What it is doing; meaningless once the state is terminal.
    pub stage: Stage,
    /// Percent, never falling: 0 while queued, 1 to 99 in progress, 100 if and only if completed.
    pub progress: u8,
    /// The number of the execution that counts, from 1.
    pub attempt: u32,
    /// Rises with every hand-out; whoever speaks with an older one is not listened to.
    pub epoch: u32,
    /// No worker gets it before this moment.
    pub not_before: UnixMillis,
    pub cancel_requested: bool,
    /// Who runs it now.
    pub holder: Option<Holder>,
    /// Names of workers that vanished under it without a word.
    pub lost_on: BTreeSet<String>,
    /// When a worker first took it.
    pub started_at: Option<UnixMillis>,
    /// When it reached a terminal state.
    pub finished_at: Option<UnixMillis>,
    /// When its assets vanish; set on completion.
    pub expires_at: Option<UnixMillis>,
    pub error: Option<JobError>,
    pub assets: Vec<Asset>,
    /// Assets once existed and have been removed by age.
    pub expired: bool,
    pub timings: Option<Timings>,
    pub usage: Option<Usage>,
    /// What the worker found doubtful.
    pub warnings: Vec<Warning>,
    /// Number of moves made, for whoever waits for a change.
    pub revision: u64,
}

/// The four states of the contract; there is no fifth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    Queued,
    /// Also while it waits for another worker after the first was lost.
    InProgress,
    Completed,
    Failed,
}

/// The worker that holds a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub worker: WorkerId,
    /// The worker's name, which outlives a restart of its process.
    pub name: String,
    /// A child of this server: it dies with the server.
    pub local: bool,
    pub since: UnixMillis,
}

/// Why it failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobError {
    pub code: FailureCode,
    /// For the client.
    pub message: String,
}

impl JobState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Queued, Self::InProgress, Self::Completed, Self::Failed];

    /// As written on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }

    /// The state of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Nothing ever changes it again.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed)
    }
}

impl JobError {
    /// With the client message that belongs to the code.
    pub fn new(code: FailureCode) -> Self {
        Self { code, message: code.message().to_owned() }
    }
}

impl JobStatus {
    /// Just admitted.
    pub fn new(created_at: UnixMillis) -> Self {
        Self {
            state: JobState::Queued,
            stage: Stage::Waiting,
            progress: 0,
            attempt: 1,
            epoch: 0,
            not_before: created_at,
            cancel_requested: false,
            holder: None,
            lost_on: BTreeSet::new(),
            started_at: None,
            finished_at: None,
            expires_at: None,
            error: None,
            assets: Vec::new(),
            expired: false,
            timings: None,
            usage: None,
            warnings: Vec::new(),
            revision: 0,
        }
    }

    /// No worker has it and none is excluded: it stands in a queue.
    pub fn waits_for_worker(&self) -> bool {
        !self.state.is_terminal() && self.holder.is_none()
    }
}

impl Job {
    /// What stands on the wire as `warnings`: the request's, then the worker's.
    pub fn warnings(&self) -> impl Iterator<Item = &Warning> {
        self.request.warnings.iter().chain(&self.status.warnings)
    }

    /// The stored file of that variant.
    pub fn asset(&self, variant: Variant) -> Option<&Asset> {
        self.status.assets.iter().find(|asset| asset.variant == variant)
    }
}
