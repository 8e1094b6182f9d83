//! `/v1/organization…`: what an administrator does with projects, service accounts and their keys.

mod accounts;
mod admin_keys;
mod audit;
mod keys;
mod limits;
mod projects;
mod usage;

use std::time::Duration;

pub(crate) use accounts::{create_account, delete_account, get_account, list_accounts, update_account};
pub(crate) use admin_keys::{create_admin_key, delete_admin_key, get_admin_key, list_admin_keys};
pub(crate) use audit::list_audit;
pub(crate) use keys::{create_key, delete_key, get_key, list_keys, rotate_key};
pub(crate) use limits::{list_rate_limits, update_rate_limit};
pub(crate) use projects::{archive_project, create_project, get_project, list_projects, update_project};
pub(crate) use usage::get_organization_usage;

use crate::api::auth::Admin;
use crate::api::body::Fields;
use crate::api::errors::{ApiError, ErrorCode};
use crate::api::state::Api;
use crate::domain::audit::AuditKind;
use crate::domain::id::ProjectId;
use crate::domain::key::{ProjectScope, Scope};
use crate::domain::tenant::{MAX_NAME, Project, ServiceAccount, is_good_name};
use crate::jobs::Deed;

fn missing() -> ApiError {
    ApiError::new(ErrorCode::ResourceNotFound, "no such thing in this organization")
}

/// The administrator's own project of that id; anybody else's does not exist.
async fn project<P>(api: &Api, admin: &Admin<P>, id: &str) -> Result<Project, ApiError> {
    let id = id.parse().map_err(|_| missing())?;
    let project = api.store.project(id).await?;
    project.filter(|project| project.organization == admin.organization()).ok_or_else(missing)
}

/// The same, if anything can still be made in it.
async fn open_project<P>(api: &Api, admin: &Admin<P>, id: &str) -> Result<Project, ApiError> {
    let project = project(api, admin, id).await?;
    match project.archived_at {
        None => Ok(project),
        Some(_) => Err(ApiError::new(ErrorCode::ProjectArchived, "the project is archived")),
    }
}

/// The service account of that id in the project.
async fn account(api: &Api, project: &Project, id: &str) -> Result<ServiceAccount, ApiError> {
    let id = id.parse().map_err(|_| missing())?;
    let accounts = api.store.accounts(project.id).await?;
    accounts.into_iter().find(|account| account.id == id).ok_or_else(missing)
}

fn scope_of(project: &Project) -> ProjectScope {
    ProjectScope { organization: project.organization, project: project.id }
}

fn take_name(fields: &mut Fields) -> Result<String, ApiError> {
    let name = fields.text("name")?.ok_or_else(|| {
        ApiError::new(ErrorCode::MissingRequiredParameter, "`name` is required").about("name")
    })?;
    check_name(name)
}

fn check_name(name: String) -> Result<String, ApiError> {
    let message = || format!("a name has 1 to {MAX_NAME} characters, none of them a control character");
    if is_good_name(&name) { Ok(name) } else { Err(ApiError::invalid_value("name", message())) }
}

/// Writes down what the administrator did, in one transaction with it.
async fn note<P>(
    api: &Api,
    admin: &Admin<P>,
    project: Option<ProjectId>,
    kind: AuditKind,
    subject: impl ToString,
    detail: Option<String>,
) -> Result<(), ApiError> {
    let (organization, actor) = (Some(admin.organization()), admin.actor());
    let subject = subject.to_string();
    Ok(api.audit.note(Deed { organization, project, kind, actor, subject, detail }).await?)
}

/// Seconds that a key or its overlap is to last.
fn take_seconds(
    fields: &mut Fields,
    name: &str,
    range: std::ops::RangeInclusive<u64>,
) -> Result<Option<Duration>, ApiError> {
    let Some(seconds) = fields.integer(name)? else { return Ok(None) };
    let good = u64::try_from(seconds).ok().filter(|seconds| range.contains(seconds));
    let message = format!("`{name}` must be {} to {}", range.start(), range.end());
    good.map(|seconds| Some(Duration::from_secs(seconds)))
        .ok_or_else(|| ApiError::invalid_value(name, message))
}

/// Scopes among those that such a key may have; none named is all.
fn take_scopes(fields: &mut Fields, offered: &[Scope]) -> Result<Vec<Scope>, ApiError> {
    let Some(names) = fields.text_list("scopes")?.filter(|names| !names.is_empty()) else {
        return Ok(vec![Scope::All]);
    };
    let known = |name: &String| {
        let scope = Scope::parse(name).filter(|scope| *scope == Scope::All || offered.contains(scope));
        let message = format!("there is no scope `{name}` for such keys");
        scope.ok_or_else(|| ApiError::invalid_value("scopes", message))
    };
    names.iter().map(known).collect()
}
