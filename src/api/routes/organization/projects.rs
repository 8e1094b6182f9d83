//! `/v1/organization/projects…`: made, renamed, closed for good.

use std::collections::BTreeSet;

use actix_web::{HttpRequest, HttpResponse, get, post, web};

use super::{missing, note, project, scope_of, take_name};
use crate::api::auth::{Admin, ReadOrganization, WriteOrganization};
use crate::api::body::{self, Accepts, Limits};
use crate::api::dto::{ListObject, ProjectBody, ProjectList, ProjectObject};
use crate::api::errors::ApiError;
use crate::api::paging::Page;
use crate::api::query::Query;
use crate::api::state::Api;
use crate::domain::audit::AuditKind;
use crate::domain::id::ProjectId;
use crate::domain::job::JobState;
use crate::domain::tenant::Project;
use crate::store::{JobFilter, JobQuery, KeysOf, together};

/// Jobs that are cancelled in one go when a project is closed.
const CANCEL_BATCH: u32 = 100;

/// Make a project
#[utoipa::path(operation_id = "create-project", tag = "Administration", security(("adminBearer" = [])), request_body(content = ProjectBody, content_type = "application/json", example = json!({"name": "demo"})), responses((status = 200, description = "The project.", body = ProjectObject)))]
#[post("/v1/organization/projects")]
pub(crate) async fn create_project(
    admin: Admin<WriteOrganization>,
    request: HttpRequest,
    payload: web::Payload,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let mut fields = body::read(&request, payload, Accepts::Json, Limits::PLAIN).await?;
    let name = take_name(&mut fields)?;
    fields.finish()?;
    let now = api.clock.now();
    let project = Project {
        id: ProjectId::new(now.0, api.random.id_bytes()),
        organization: admin.organization(),
        name,
        created_at: now,
        archived_at: None,
    };
    save(&api, &admin, &project, AuditKind::ProjectCreated).await?;
    Ok(HttpResponse::Ok().json(ProjectObject::new(&project)))
}

/// List projects
#[utoipa::path(
    operation_id = "list-projects",
    tag = "Administration",
    security(("adminBearer" = [])),
    params(
        ("after" = Option<String>, Query), ("limit" = Option<u32>, Query, maximum = 100), ("order" = Option<String>, Query),
        ("include_archived" = Option<bool>, Query),
    ),
    responses((status = 200, description = "A page.", body = ProjectList)),
)]
#[get("/v1/organization/projects")]
pub(crate) async fn list_projects(
    admin: Admin<ReadOrganization>,
    request: HttpRequest,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let query = Query::of(&request)?;
    let page = Page::<ProjectId>::of(&query)?;
    let archived = query.boolean("include_archived")?.unwrap_or(false);
    let mut projects = api.store.projects(admin.organization()).await?;
    let all: BTreeSet<ProjectId> = projects.iter().map(|project| project.id).collect();
    projects.retain(|project| archived || project.archived_at.is_none());
    let gone = async |id| Ok(all.contains(&id));
    let (projects, has_more) = page.cut(projects, |project| project.id, gone).await?;
    let data = projects.iter().map(ProjectObject::new).collect();
    Ok(HttpResponse::Ok().json(ListObject::new(data, has_more, ProjectObject::id)))
}

/// Read a project
#[utoipa::path(operation_id = "retrieve-project", tag = "Administration", security(("adminBearer" = [])), params(("project_id" = String, Path)), responses((status = 200, description = "The project.", body = ProjectObject)))]
#[get("/v1/organization/projects/{project_id}")]
pub(crate) async fn get_project(
    admin: Admin<ReadOrganization>,
    id: web::Path<String>,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok().json(ProjectObject::new(&project(&api, &admin, &id).await?)))
}

/// Rename a project
#[utoipa::path(operation_id = "modify-project", tag = "Administration", security(("adminBearer" = [])), params(("project_id" = String, Path)), request_body(content = ProjectBody, content_type = "application/json", example = json!({"name": "demo 2"})), responses((status = 200, description = "The project.", body = ProjectObject)))]
#[post("/v1/organization/projects/{project_id}")]
pub(crate) async fn update_project(
    admin: Admin<WriteOrganization>,
    request: HttpRequest,
    id: web::Path<String>,
    payload: web::Payload,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let mut fields = body::read(&request, payload, Accepts::Json, Limits::PLAIN).await?;
    let name = take_name(&mut fields)?;
    fields.finish()?;
    let project = Project { name, ..project(&api, &admin, &id).await? };
    save(&api, &admin, &project, AuditKind::ProjectUpdated).await?;
    Ok(HttpResponse::Ok().json(ProjectObject::new(&project)))
}

/// Archive a project
///
/// Its keys stop working and its queued jobs are cancelled. There is no way back.
#[utoipa::path(operation_id = "archive-project", tag = "Administration", security(("adminBearer" = [])), params(("project_id" = String, Path)), responses((status = 200, description = "The project.", body = ProjectObject)))]
#[post("/v1/organization/projects/{project_id}/archive")]
pub(crate) async fn archive_project(
    admin: Admin<WriteOrganization>,
    id: web::Path<String>,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let mut project = project(&api, &admin, &id).await?;
    project.archived_at.get_or_insert(api.clock.now());
    together(&*api.store, async {
        save(&api, &admin, &project, AuditKind::ProjectArchived).await?;
        revoke_keys(&api, &project).await
    })
    .await?;
    api.tenants.changed();
    cancel_queued(&api, &admin, &project).await?;
    Ok(HttpResponse::Ok().json(ProjectObject::new(&project)))
}

/// Saves the project and writes down why.
async fn save<P>(api: &Api, admin: &Admin<P>, project: &Project, why: AuditKind) -> Result<(), ApiError> {
    together(&*api.store, async {
        api.store.save_project(project.clone()).await?;
        note(api, admin, Some(project.id), why, project.id, Some(project.name.clone())).await
    })
    .await
}

async fn revoke_keys(api: &Api, project: &Project) -> Result<(), ApiError> {
    for record in api.store.keys(KeysOf::Project(project.id)).await? {
        if record.revoked_at.is_none() {
            api.keys.revoke(record.id).await.map_err(|_| missing())?;
        }
    }
    Ok(())
}

async fn cancel_queued<P>(api: &Api, admin: &Admin<P>, project: &Project) -> Result<(), ApiError> {
    let scope = scope_of(project);
    loop {
        let filter = JobFilter { state: Some(JobState::Queued), ..JobFilter::default() };
        let query = JobQuery { limit: CANCEL_BATCH, filter, ..JobQuery::default() };
        let (jobs, has_more) = api.jobs.list(scope, query).await?;
        for view in &jobs {
            // One that a worker has taken meanwhile stops at its next step.
            let _ = api.jobs.cancel(scope, view.job.id, admin.actor()).await;
        }
        if !has_more {
            return Ok(());
        }
    }
}
