//! The first start of an installation: one organisation, project, service account and key.

use std::sync::Arc;

use super::{JobsError, KeyTerms, Keys};
use crate::domain::clock::{Clock, Random};
use crate::domain::id::{OrganizationId, ProjectId, ServiceAccountId};
use crate::domain::key::{KeyOwner, KeyText, ProjectScope, Scope};
use crate::domain::limits::OrganizationLimits;
use crate::domain::tenant::{Organization, Project, ServiceAccount};
use crate::store::Store;

/// What a newcomer starts with.
#[derive(Debug, Clone)]
pub struct FirstKey {
    pub key: KeyText,
    pub scope: ProjectScope,
}

/// Makes them unless an organisation exists. The organisation is saved last: where it is, all is.
pub async fn first_start(
    store: &Arc<dyn Store>,
    keys: &Keys,
    clock: &dyn Clock,
    random: &dyn Random,
) -> Result<Option<FirstKey>, JobsError> {
    if !store.organizations().await?.is_empty() {
        return Ok(None);
    }
    let now = clock.now();
    let organization = OrganizationId::new(now.0, random.id_bytes());
    let project = ProjectId::new(now.0, random.id_bytes());
    let account = ServiceAccountId::new(now.0, random.id_bytes());
    let scope = ProjectScope { organization, project };
    let name = "default".to_owned();
    let owner = KeyOwner::Project { scope, account };
    let terms = KeyTerms { name: name.clone(), owner, scopes: vec![Scope::All], expires_at: None };
    let (_, key) = keys.create(terms).await?;
    store.save_account(ServiceAccount { id: account, project, name: name.clone(), created_at: now }).await?;
    store
        .save_project(Project {
            id: project,
            organization,
            name: name.clone(),
            created_at: now,
            archived_at: None,
        })
        .await?;
    store
        .save_organization(Organization {
            id: organization,
            name,
            created_at: now,
            suspended_at: None,
            limits: OrganizationLimits::default(),
        })
        .await?;
    Ok(Some(FirstKey { key, scope }))
}
