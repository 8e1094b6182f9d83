//! Writes down who changed what.

use std::sync::Arc;

use super::JobsError;
use crate::domain::audit::{Actor, AuditEntry, AuditKind};
use crate::domain::clock::{Clock, Random};
use crate::domain::id::{EventId, OrganizationId, ProjectId};
use crate::store::Store;

/// The log of every organisation.
#[derive(Clone)]
pub struct AuditLog {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

/// What was done to what.
#[derive(Debug, Clone)]
pub struct Deed {
    pub organization: OrganizationId,
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

    /// Written before the change is answered: what cannot be written down is not said to be done.
    pub async fn note(&self, deed: Deed) -> Result<(), JobsError> {
        let at = self.clock.now();
        let id = EventId::new(at.0, self.random.id_bytes());
        let Deed { organization, project, kind, actor, subject, detail } = deed;
        let entry = AuditEntry { id, organization, project, kind, actor, subject, detail, at };
        Ok(self.store.record(entry).await?)
    }
}
