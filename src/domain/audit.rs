//! What was changed about keys, limits, projects and webhooks, and by whom.

use serde::{Deserialize, Serialize};

use super::clock::UnixMillis;
use super::id::{EventId, KeyId, OrganizationId, ProjectId};

/// A change that somebody made. Written once, never changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    pub id: EventId,
    pub organization: OrganizationId,
    /// `None`: it is about the organisation itself.
    pub project: Option<ProjectId>,
    pub kind: AuditKind,
    pub actor: Actor,
    /// The id of what was changed.
    pub subject: String,
    /// What it was changed to, or called; never a secret.
    pub detail: Option<String>,
    pub at: UnixMillis,
}

/// Who changed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// Whoever held this key, or a token of it.
    Key(KeyId),
    /// The operator of the installation.
    Operator(KeyId),
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
}

impl AuditKind {
    /// The kind of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == name)
    }
}
