//! `/v1/organization/projects/{project}/service_accounts…`: what keys belong to.

use actix_web::{HttpRequest, HttpResponse, delete, get, post, web};

use super::{account, note, open_project, project, scope_of, take_name};
use crate::api::auth::{Admin, ReadOrganization, WriteOrganization};
use crate::api::body::{self, Accepts, Limits};
use crate::api::dto::{
    AccountObject, DeletedObject, ListObject, NewKeyObject, ProjectBody, ServiceAccountBody,
    ServiceAccountList,
};
use crate::api::errors::ApiError;
use crate::api::paging::Page;
use crate::api::query::Query;
use crate::api::state::Api;
use crate::domain::audit::AuditKind;
use crate::domain::clock::UnixMillis;
use crate::domain::id::ServiceAccountId;
use crate::domain::key::{KeyOwner, Scope};
use crate::domain::tenant::ServiceAccount;
use crate::jobs::KeyTerms;
use crate::store::{KeysOf, together};

/// Make a service account
///
/// A key for everything comes with it, unless only the account is wanted.
#[utoipa::path(operation_id = "create-project-service-account", tag = "Administration", security(("adminBearer" = [])), params(("project_id" = String, Path)), request_body(content = ServiceAccountBody, content_type = "application/json", example = json!({"name": "backend"})), responses((status = 200, description = "The account.", body = AccountObject)))]
#[post("/v1/organization/projects/{project_id}/service_accounts")]
pub(crate) async fn create_account(
    admin: Admin<WriteOrganization>,
    request: HttpRequest,
    id: web::Path<String>,
    payload: web::Payload,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let mut fields = body::read(&request, payload, Accepts::Json, Limits::PLAIN).await?;
    let name = take_name(&mut fields)?;
    let without_key = fields.boolean("create_service_account_only")?.unwrap_or(false);
    fields.finish()?;
    let project = open_project(&api, &admin, &id).await?;
    let now = api.clock.now();
    let account = ServiceAccount {
        id: ServiceAccountId::new(now.0, api.random.id_bytes()),
        project: project.id,
        name: name.clone(),
        created_at: now,
    };
    let key = together(&*api.store, async {
        api.store.save_account(account.clone()).await?;
        let kind = AuditKind::ServiceAccountCreated;
        note(&api, &admin, Some(project.id), kind, account.id, Some(name.clone())).await?;
        if without_key {
            return Ok(None);
        }
        let owner = KeyOwner::Project { scope: scope_of(&project), account: account.id };
        let terms = KeyTerms { name, owner, scopes: vec![Scope::All], expires_at: None };
        let (record, text) = api.keys.create(terms).await?;
        let detail = Some(record.name.clone());
        note(&api, &admin, Some(project.id), AuditKind::ApiKeyCreated, record.id, detail).await?;
        Ok::<_, ApiError>(Some(NewKeyObject::new(&record, &text)))
    })
    .await?;
    Ok(HttpResponse::Ok().json(AccountObject::new(&account, key)))
}

/// List service accounts
#[utoipa::path(operation_id = "list-project-service-accounts", tag = "Administration", security(("adminBearer" = [])), params(("project_id" = String, Path), ("after" = Option<String>, Query), ("limit" = Option<u32>, Query, maximum = 100)), responses((status = 200, description = "A page.", body = ServiceAccountList)))]
#[get("/v1/organization/projects/{project_id}/service_accounts")]
pub(crate) async fn list_accounts(
    admin: Admin<ReadOrganization>,
    request: HttpRequest,
    id: web::Path<String>,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let page = Page::<ServiceAccountId>::of(&Query::of(&request)?)?;
    let project = project(&api, &admin, &id).await?;
    let accounts = api.store.accounts(project.id).await?;
    let kind = AuditKind::ServiceAccountDeleted;
    let gone = async |id: ServiceAccountId| {
        let ever = UnixMillis(id.unix_millis());
        Ok(api.audit.tells(scope_of(&project), kind, &id.to_string(), ever).await?)
    };
    let (accounts, has_more) = page.cut(accounts, |account| account.id, gone).await?;
    let data = accounts.iter().map(|account| AccountObject::new(account, None)).collect();
    Ok(HttpResponse::Ok().json(ListObject::new(data, has_more, AccountObject::id)))
}

/// Read a service account
#[utoipa::path(operation_id = "retrieve-project-service-account", tag = "Administration", security(("adminBearer" = [])), params(("project_id" = String, Path), ("service_account_id" = String, Path)), responses((status = 200, description = "The account.", body = AccountObject)))]
#[get("/v1/organization/projects/{project_id}/service_accounts/{service_account_id}")]
pub(crate) async fn get_account(
    admin: Admin<ReadOrganization>,
    path: web::Path<(String, String)>,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let (project_id, account_id) = path.into_inner();
    let project = project(&api, &admin, &project_id).await?;
    Ok(HttpResponse::Ok().json(AccountObject::new(&account(&api, &project, &account_id).await?, None)))
}

/// Rename a service account
#[utoipa::path(operation_id = "update-project-service-account", tag = "Administration", security(("adminBearer" = [])), params(("project_id" = String, Path), ("service_account_id" = String, Path)), request_body(content = ProjectBody, content_type = "application/json", example = json!({"name": "front end"})), responses((status = 200, description = "The account.", body = AccountObject)))]
#[post("/v1/organization/projects/{project_id}/service_accounts/{service_account_id}")]
pub(crate) async fn update_account(
    admin: Admin<WriteOrganization>,
    request: HttpRequest,
    path: web::Path<(String, String)>,
    payload: web::Payload,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let (project_id, account_id) = path.into_inner();
    let mut fields = body::read(&request, payload, Accepts::Json, Limits::PLAIN).await?;
    let name = take_name(&mut fields)?;
    fields.finish()?;
    let project = open_project(&api, &admin, &project_id).await?;
    let account = ServiceAccount { name, ..account(&api, &project, &account_id).await? };
    together(&*api.store, async {
        api.store.save_account(account.clone()).await?;
        let (kind, name) = (AuditKind::ServiceAccountUpdated, account.name.clone());
        note(&api, &admin, Some(project.id), kind, account.id, Some(name)).await
    })
    .await?;
    Ok(HttpResponse::Ok().json(AccountObject::new(&account, None)))
}

/// Delete a service account
///
/// Its keys stop working.
#[utoipa::path(operation_id = "delete-project-service-account", tag = "Administration", security(("adminBearer" = [])), params(("project_id" = String, Path), ("service_account_id" = String, Path)), responses((status = 200, description = "It is gone, and its keys open nothing.", body = DeletedObject)))]
#[delete("/v1/organization/projects/{project_id}/service_accounts/{service_account_id}")]
pub(crate) async fn delete_account(
    admin: Admin<WriteOrganization>,
    path: web::Path<(String, String)>,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let (project_id, account_id) = path.into_inner();
    let project = project(&api, &admin, &project_id).await?;
    let gone = account(&api, &project, &account_id).await?;
    together(&*api.store, async {
        for record in api.store.keys(KeysOf::Project(project.id)).await? {
            let its = matches!(record.owner, KeyOwner::Project { account, .. } if account == gone.id);
            if its && record.revoked_at.is_none() {
                api.keys.revoke(record.id).await?;
            }
        }
        api.store.delete_account(gone.id).await?;
        let kind = AuditKind::ServiceAccountDeleted;
        note(&api, &admin, Some(project.id), kind, gone.id, Some(gone.name)).await
    })
    .await?;
    let object = "organization.project.service_account.deleted";
    Ok(HttpResponse::Ok().json(DeletedObject { id: gone.id.to_string(), object, deleted: true }))
}
