//! The first start of an installation: one organisation, project, service account and key.

use std::sync::Arc;

use super::{AuditLog, Deed, JobsError, KeyTerms, Keys};
use crate::domain::audit::{Actor, AuditKind};
use crate::domain::clock::{Clock, Random};
use crate::domain::id::{OrganizationId, ProjectId, ServiceAccountId};
use crate::domain::key::{KeyOwner, KeyText, ProjectScope, Scope};
use crate::domain::limits::OrganizationLimits;
use crate::domain::tenant::{Organization, Project, ServiceAccount};
use crate::store::{Store, together};

/// What they are called.
const NAME: &str = "default";

/// What a newcomer starts with.
#[derive(Debug, Clone)]
pub struct FirstKey {
    pub key: KeyText,
    pub scope: ProjectScope,
}

/// Makes them unless an organisation exists: all of them or none. `actor` is whoever started the program.
pub async fn first_start(
    store: &Arc<dyn Store>,
    keys: &Keys,
    audit: &AuditLog,
    clock: &dyn Clock,
    random: &dyn Random,
    actor: Actor,
) -> Result<Option<FirstKey>, JobsError> {
    if !store.organizations().await?.is_empty() {
        return Ok(None);
    }
    let now = clock.now();
    let organization = Organization {
        id: OrganizationId::new(now.0, random.id_bytes()),
        name: NAME.to_owned(),
        created_at: now,
        suspended_at: None,
        limits: OrganizationLimits::default(),
    };
    let project = Project {
        id: ProjectId::new(now.0, random.id_bytes()),
        organization: organization.id,
        name: NAME.to_owned(),
        created_at: now,
        archived_at: None,
    };
    let account = ServiceAccount {
        id: ServiceAccountId::new(now.0, random.id_bytes()),
        project: project.id,
        name: NAME.to_owned(),
        created_at: now,
    };
    let scope = ProjectScope { organization: organization.id, project: project.id };
    let owner = KeyOwner::Project { scope, account: account.id };
    let terms = KeyTerms { name: NAME.to_owned(), owner, scopes: vec![Scope::All], expires_at: None };
    let note = |kind, project, subject: String| {
        let (organization, detail) = (Some(scope.organization), Some(NAME.to_owned()));
        audit.note(Deed { organization, project, kind, actor, subject, detail })
    };
    together(&**store, async {
        note(AuditKind::OrganizationCreated, None, organization.id.to_string()).await?;
        note(AuditKind::ProjectCreated, Some(project.id), project.id.to_string()).await?;
        note(AuditKind::ServiceAccountCreated, Some(project.id), account.id.to_string()).await?;
        let (record, key) = keys.create(terms).await?;
        note(AuditKind::ApiKeyCreated, Some(project.id), record.id.to_string()).await?;
        store.save_organization(organization).await?;
        store.save_project(project).await?;
        store.save_account(account).await?;
        Ok(Some(FirstKey { key, scope }))
    })
    .await
}
