//! Writes down who did what.

use std::sync::Arc;

use super::JobsError;
use crate::domain::audit::{Actor, AuditEntry, AuditKind};
use crate::domain::clock::{Clock, Random, UnixMillis};
use crate::domain::id::{EventId, OrganizationId, ProjectId};
use crate::domain::key::ProjectScope;
use crate::store::{AuditQuery, Store, holding};

/// Entries that are looked through at a time.
const READ_AT_ONCE: u32 = 100;

/// The log of the installation and of every organisation.
#[derive(Clone)]
pub struct AuditLog {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

/// What was done to what.
#[derive(Debug, Clone)]
pub struct Deed {
    /// `None`: to the installation.
    pub organization: Option<OrganizationId>,
    pub project: Option<ProjectId>,
    pub kind: AuditKind,
    pub actor: Actor,
    pub subject: String,
    /// Never a secret.
    pub detail: Option<String>,
}

impl AuditLog {
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self { store, clock, random }
    }

    /// Belongs inside [`together`](crate::store::together) with what it tells of: neither happens without the other.
    pub async fn note(&self, deed: Deed) -> Result<(), JobsError> {
        debug_assert!(holding(), "a deed and its entry are one transaction");
        let at = self.clock.now();
        let id = EventId::new(at.0, self.random.id_bytes());
        let Deed { organization, project, kind, actor, subject, detail } = deed;
        let entry = AuditEntry { id, organization, project, kind, actor, subject, detail, at };
        Ok(self.store.record(entry).await?)
    }

    /// Whether it tells that this was done to `subject` in a project, at `since` or later.
    pub async fn tells(
        &self,
        scope: ProjectScope,
        kind: AuditKind,
        subject: &str,
        since: UnixMillis,
    ) -> Result<bool, JobsError> {
        let mut query = AuditQuery {
            limit: READ_AT_ONCE,
            kinds: vec![kind],
            projects: vec![scope.project],
            from: Some(since),
            ..AuditQuery::default()
        };
        loop {
            let page = self.store.audit(Some(scope.organization), query.clone()).await?;
            if page.entries.iter().any(|entry| entry.subject == subject) {
                return Ok(true);
            }
            query.after = page.entries.last().map(|entry| entry.id);
            if !page.has_more {
                return Ok(false);
            }
        }
    }
}
