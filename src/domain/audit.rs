//! What was done to keys, limits, projects, webhooks, jobs and the installation, and by whom.

use serde::{Deserialize, Serialize};

use super::clock::UnixMillis;
use super::id::{EventId, KeyId, OrganizationId, ProjectId};
use super::job::Job;

/// Something that somebody did. Written once, never changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    pub id: EventId,
    /// `None`: it is about the installation.
    pub organization: Option<OrganizationId>,
    /// `None`: it is about the organisation itself, or the installation.
    pub project: Option<ProjectId>,
    pub kind: AuditKind,
    pub actor: Actor,
    /// The id of what was changed.
    pub subject: String,
    /// What it was changed to, or called; never a secret.
    pub detail: Option<String>,
    pub at: UnixMillis,
}

/// Who did it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// Whoever held this key, or a token of it.
    Key(KeyId),
    /// The operator of the installation.
    Operator(KeyId),
    /// Somebody at the machine, who can read the data folder.
    Shell,
    /// The server, by itself.
    Server,
}

/// Who does something to a job, and the id of the entry that will say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authorship {
    pub entry: EventId,
    pub actor: Actor,
}

macro_rules! kinds {
    ($($name:ident = $text:literal,)+) => {
        /// What happened. Named as OpenAI's audit log does where it has the same thing.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum AuditKind {
            $(#[serde(rename = $text)] $name,)+
        }

        impl AuditKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// As written on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }
    };
}

kinds! {
    OrganizationCreated = "organization.created",
    OrganizationUpdated = "organization.updated",
    ProjectCreated = "project.created",
    ProjectUpdated = "project.updated",
    ProjectArchived = "project.archived",
    ServiceAccountCreated = "service_account.created",
    ServiceAccountUpdated = "service_account.updated",
    ServiceAccountDeleted = "service_account.deleted",
    ApiKeyCreated = "api_key.created",
    ApiKeyRotated = "api_key.rotated",
    ApiKeyDeleted = "api_key.deleted",
    AdminApiKeyCreated = "admin_api_key.created",
    AdminApiKeyDeleted = "admin_api_key.deleted",
    RateLimitUpdated = "rate_limit.updated",
    WebhookCreated = "webhook_endpoint.created",
    WebhookUpdated = "webhook_endpoint.updated",
    WebhookDeleted = "webhook_endpoint.deleted",
    WebhookSecretRotated = "webhook_secret.rotated",
    TokenCreated = "token.created",
    VideoCreated = "video.created",
    VideoCancelled = "video.cancelled",
    VideoDeleted = "video.deleted",
    OperatorKeyCreated = "operator_key.created",
    SigningKeyRotated = "signing_key.rotated",
    WorkerRestarted = "worker.restarted",
    WorkerDrained = "worker.drained",
    WorkerResumed = "worker.resumed",
    ModelLoaded = "worker.model_loaded",
    ModelUnloaded = "worker.model_unloaded",
    ConfigChanged = "config.changed",
}

impl AuditEntry {
    /// What somebody did to a job. Nothing of what was asked for is in it but the model.
    pub fn of_job(job: &Job, kind: AuditKind, by: Authorship, at: UnixMillis) -> Self {
        Self {
            id: by.entry,
            organization: Some(job.organization),
            project: Some(job.project),
            kind,
            actor: by.actor,
            subject: job.id.to_string(),
            detail: Some(job.request.spec.model.to_string()),
            at,
        }
    }
}

impl AuditKind {
    /// Whether it is about a job: there are as many of these as jobs, and few of the others.
    pub fn is_about_a_job(self) -> bool {
        matches!(self, Self::VideoCreated | Self::VideoCancelled | Self::VideoDeleted)
    }

    /// The kind of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == name)
    }
}
