//! Writes into the audit log with which settings the server starts, if they are others than at the start before.
//! Secrets print as `***`, here as everywhere.

use std::sync::Arc;

use crate::config::Config;
use crate::domain::audit::{Actor, AuditKind};
use crate::jobs::{AuditLog, Deed, JobsError};
use crate::store::{AuditQuery, Store, together};

/// What the entry is about.
const SUBJECT: &str = "settings";

/// Notes the settings unless the newest entry says the same.
pub(super) async fn note_settings(
    config: &Config,
    store: &Arc<dyn Store>,
    audit: &AuditLog,
) -> Result<(), JobsError> {
    let settings = Config { variables: Vec::new(), warnings: Vec::new(), ..config.clone() };
    let now = Some(format!("{settings:?}"));
    let kind = AuditKind::ConfigChanged;
    let newest = AuditQuery { limit: 1, kinds: vec![kind], ..AuditQuery::default() };
    let before = store.audit(None, newest).await?.entries.pop();
    if before.is_some_and(|entry| entry.detail == now) {
        return Ok(());
    }
    let subject = SUBJECT.to_owned();
    let deed = Deed { organization: None, project: None, kind, actor: Actor::Server, subject, detail: now };
    together(&**store, audit.note(deed)).await
}
