//! Whose things are whose: organisation, project, service account.

use serde::{Deserialize, Serialize};

use super::clock::UnixMillis;
use super::id::{OrganizationId, ProjectId, ServiceAccountId};
use super::limits::OrganizationLimits;

/// Billing, quota, suspension.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Organization {
    pub id: OrganizationId,
    pub name: String,
    pub created_at: UnixMillis,
    /// Set while nothing may be done in its name.
    pub suspended_at: Option<UnixMillis>,
    #[serde(default)]
    pub limits: OrganizationLimits,
}

/// The unit of isolation: jobs, files, keys and limits belong to one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    pub id: ProjectId,
    pub organization: OrganizationId,
    pub name: String,
    pub created_at: UnixMillis,
    /// Set once it is closed for good.
    pub archived_at: Option<UnixMillis>,
}

/// What a project key belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceAccount {
    pub id: ServiceAccountId,
    pub project: ProjectId,
    pub name: String,
    pub created_at: UnixMillis,
}

/// The longest name of anything a tenant owns, in characters: a line in a list.
pub const MAX_NAME: usize = 128;

/// Whether something may be called that. Names are shown in lists, logs and terminals, so that none moves a cursor.
pub fn is_good_name(name: &str) -> bool {
    !name.trim().is_empty() && name.chars().count() <= MAX_NAME && !name.chars().any(char::is_control)
}
