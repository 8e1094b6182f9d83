//! Writes down who did what.

use std::sync::Arc;

use super::JobsError;
use crate::domain::audit::{Actor, AuditEntry, AuditKind};
use crate::domain::clock::{Clock, Random};
use crate::domain::id::{EventId, OrganizationId, ProjectId};
use crate::store::{Store, holding};

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
}
