//! Entries of the audit log, in the shape of OpenAI's.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::audit::{Actor, AuditEntry};

/// Something that was changed, and by whom.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditLogEntry)]
pub(crate) struct AuditObject {
    id: String,
    /// What happened, such as `api_key.created`.
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "api_key.created")]
    kind: &'static str,
    /// Unix seconds.
    effective_at: u64,
    actor: AuditActor,
    #[schema(required)]
    project: Option<AuditProject>,
    /// The id of what was changed.
    resource_id: String,
    /// What it is called, or was changed to.
    #[schema(required)]
    detail: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct AuditActor {
    /// `api_key`, `operator`, `shell` (somebody at the machine) or `server` (by itself).
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "api_key")]
    kind: &'static str,
    /// Null without a key.
    #[schema(required)]
    api_key: Option<AuditKey>,
}

#[derive(Debug, Serialize, ToSchema)]
struct AuditKey {
    id: String,
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "service_account")]
    kind: &'static str,
}

#[derive(Debug, Serialize, ToSchema)]
struct AuditProject {
    id: String,
}

/// A page of the audit log.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the documented form of a generic list")]
pub(crate) struct AuditLogList {
    object: String,
    data: Vec<AuditObject>,
    #[schema(required)]
    first_id: Option<String>,
    #[schema(required)]
    last_id: Option<String>,
    has_more: bool,
}

impl AuditObject {
    pub(crate) fn new(entry: &AuditEntry) -> Self {
        let (kind, key) = match entry.actor {
            Actor::Key(key) => ("api_key", Some(key)),
            Actor::Operator(key) => ("operator", Some(key)),
            Actor::Shell => ("shell", None),
            Actor::Server => ("server", None),
        };
        let api_key = key.map(|key| AuditKey { id: key.to_string(), kind: "service_account" });
        Self {
            id: entry.id.to_string(),
            kind: entry.kind.as_str(),
            effective_at: entry.at.seconds(),
            actor: AuditActor { kind, api_key },
            project: entry.project.map(|id| AuditProject { id: id.to_string() }),
            resource_id: entry.subject.clone(),
            detail: entry.detail.clone(),
        }
    }

    /// As a list names it.
    pub(crate) fn id(&self) -> String {
        self.id.clone()
    }
}
