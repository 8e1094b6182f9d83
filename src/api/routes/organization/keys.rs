//! `/v1/organization/projects/{project}/api_keys…`: made, listed, rotated, revoked. A value is shown once.

use actix_web::{HttpRequest, HttpResponse, delete, get, post, web};

use super::{account, check_name, missing, note, open_project, project, scope_of, take_scopes, take_seconds};
use crate::api::auth::{Admin, ReadOrganization, WriteOrganization};
use crate::api::body::{self, Accepts, Limits};
use crate::api::dto::{
    ApiKeyBody, ApiKeyList, DeletedObject, KeyObject, ListObject, NewKeyObject, RotateKeyBody,
};
use crate::api::errors::ApiError;
use crate::api::paging::{Page, nothing_goes};
use crate::api::query::Query;
use crate::api::state::Api;
use crate::domain::audit::AuditKind;
use crate::domain::id::{KeyId, ServiceAccountId};
use crate::domain::key::{KeyOwner, KeyRecord, Scope};
use crate::domain::tenant::Project;
use crate::jobs::KeyTerms;
use crate::store::{KeysOf, together};

/// The longest time that an old key works beside its successor: a week.
const MAX_OVERLAP_SECONDS: u64 = 604_800;

/// Make a key
#[utoipa::path(operation_id = "create-project-service-account-api-key", tag = "Administration", security(("adminBearer" = [])), params(("project_id" = String, Path), ("service_account_id" = String, Path)), request_body(content = ApiKeyBody, content_type = "application/json", example = json!({"name": "reader", "scopes": ["videos.read"], "expires_in_seconds": 86400})), responses((status = 200, description = "The key with its value.", body = NewKeyObject)))]
#[post("/v1/organization/projects/{project_id}/service_accounts/{service_account_id}/api_keys")]
pub(crate) async fn create_key(
    admin: Admin<WriteOrganization>,
    request: HttpRequest,
    path: web::Path<(String, String)>,
    payload: web::Payload,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let (project_id, account_id) = path.into_inner();
    let mut fields = body::read(&request, payload, Accepts::Json, Limits::PLAIN).await?;
    let name = fields.text("name")?.map(check_name).transpose()?.unwrap_or_default();
    let scopes = take_scopes(&mut fields, &Scope::PROJECT)?;
    let life = take_seconds(&mut fields, "expires_in_seconds", 1..=u64::from(u32::MAX))?;
    fields.finish()?;
    let project = open_project(&api, &admin, &project_id).await?;
    let account = account(&api, &project, &account_id).await?;
    let owner = KeyOwner::Project { scope: scope_of(&project), account: account.id };
    let expires_at = life.map(|life| api.clock.now().after(life));
    let (record, text) = together(&*api.store, async {
        let (record, text) = api.keys.create(KeyTerms { name, owner, scopes, expires_at }).await?;
        let (kind, name) = (AuditKind::ApiKeyCreated, record.name.clone());
        note(&api, &admin, Some(project.id), kind, record.id, Some(name)).await?;
        Ok::<_, ApiError>((record, text))
    })
    .await?;
    Ok(HttpResponse::Ok().json(NewKeyObject::new(&record, &text)))
}

/// List keys
#[utoipa::path(operation_id = "list-project-api-keys", tag = "Administration", security(("adminBearer" = [])), params(("project_id" = String, Path), ("after" = Option<String>, Query), ("limit" = Option<u32>, Query, maximum = 100)), responses((status = 200, description = "A page.", body = ApiKeyList)))]
#[get("/v1/organization/projects/{project_id}/api_keys")]
pub(crate) async fn list_keys(
    admin: Admin<ReadOrganization>,
    request: HttpRequest,
    id: web::Path<String>,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let page = Page::<KeyId>::of(&Query::of(&request)?)?;
    let project = project(&api, &admin, &id).await?;
    let keys = api.store.keys(KeysOf::Project(project.id)).await?;
    let (keys, has_more) = page.cut(keys, |record| record.id, nothing_goes).await?;
    let data = objects(&api, &project, &keys).await?;
    Ok(HttpResponse::Ok().json(ListObject::new(data, has_more, KeyObject::id)))
}

/// Read a key
#[utoipa::path(operation_id = "retrieve-project-api-key", tag = "Administration", security(("adminBearer" = [])), params(("project_id" = String, Path), ("api_key_id" = String, Path)), responses((status = 200, description = "The key without its value.", body = KeyObject)))]
#[get("/v1/organization/projects/{project_id}/api_keys/{api_key_id}")]
pub(crate) async fn get_key(
    admin: Admin<ReadOrganization>,
    path: web::Path<(String, String)>,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let (project_id, key_id) = path.into_inner();
    let project = project(&api, &admin, &project_id).await?;
    let record = key(&api, &project, &key_id).await?;
    Ok(HttpResponse::Ok().json(objects(&api, &project, &[record]).await?.remove(0)))
}

/// Revoke a key
#[utoipa::path(operation_id = "delete-project-api-key", tag = "Administration", security(("adminBearer" = [])), params(("project_id" = String, Path), ("api_key_id" = String, Path)), responses((status = 200, description = "It works no more.", body = DeletedObject)))]
#[delete("/v1/organization/projects/{project_id}/api_keys/{api_key_id}")]
pub(crate) async fn delete_key(
    admin: Admin<WriteOrganization>,
    path: web::Path<(String, String)>,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let (project_id, key_id) = path.into_inner();
    let project = project(&api, &admin, &project_id).await?;
    let record = key(&api, &project, &key_id).await?;
    if record.revoked_at.is_some() {
        return Err(missing());
    }
    together(&*api.store, async {
        api.keys.revoke(record.id).await?;
        note(&api, &admin, Some(project.id), AuditKind::ApiKeyDeleted, record.id, Some(record.name)).await
    })
    .await?;
    let object = "organization.project.api_key.deleted";
    Ok(HttpResponse::Ok().json(DeletedObject { id: record.id.to_string(), object, deleted: true }))
}

/// Rotate a key
///
/// A new key with the same rights and the same end; the old one works for the overlap only. Rotated once more, it works no
/// longer than was said the first time.
#[utoipa::path(operation_id = "rotate-project-api-key", tag = "Administration", security(("adminBearer" = [])), params(("project_id" = String, Path), ("api_key_id" = String, Path)), request_body(content = RotateKeyBody, content_type = "application/json", example = json!({"overlap_seconds": 3600})), responses((status = 200, description = "The new key with its value.", body = NewKeyObject)))]
#[post("/v1/organization/projects/{project_id}/api_keys/{api_key_id}/rotate")]
pub(crate) async fn rotate_key(
    admin: Admin<WriteOrganization>,
    request: HttpRequest,
    path: web::Path<(String, String)>,
    payload: web::Payload,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let (project_id, key_id) = path.into_inner();
    let mut fields = body::read(&request, payload, Accepts::Json, Limits::PLAIN).await?;
    let overlap = take_seconds(&mut fields, "overlap_seconds", 0..=MAX_OVERLAP_SECONDS)?;
    fields.finish()?;
    let project = open_project(&api, &admin, &project_id).await?;
    let old = key(&api, &project, &key_id).await?;
    let now = api.clock.now();
    if old.revoked_at.is_some() || old.has_expired(now) {
        return Err(missing());
    }
    let terms = KeyTerms {
        name: old.name.clone(),
        owner: old.owner,
        scopes: old.scopes.clone(),
        expires_at: old.expires_at,
    };
    let (record, text) = together(&*api.store, async {
        let (record, text) = api.keys.create(terms).await?;
        match overlap.filter(|overlap| !overlap.is_zero()) {
            None => {
                api.keys.revoke(old.id).await?;
            }
            Some(overlap) => {
                let end = old.overlap_ends_at.into_iter().chain([now.after(overlap)]).min();
                api.keys.save(KeyRecord { overlap_ends_at: end, ..old }).await?;
            }
        }
        let successor = Some(record.id.to_string());
        note(&api, &admin, Some(project.id), AuditKind::ApiKeyRotated, key_id, successor).await?;
        Ok::<_, ApiError>((record, text))
    })
    .await?;
    Ok(HttpResponse::Ok().json(NewKeyObject::new(&record, &text)))
}

async fn key(api: &Api, project: &Project, id: &str) -> Result<KeyRecord, ApiError> {
    let id = id.parse().map_err(|_| missing())?;
    api.store.key(id).await?.filter(|record| belongs(record, project)).ok_or_else(missing)
}

fn belongs(record: &KeyRecord, project: &Project) -> bool {
    matches!(record.owner, KeyOwner::Project { scope, .. } if scope.project == project.id)
}

/// The keys of a project with their owners.
async fn objects(api: &Api, project: &Project, keys: &[KeyRecord]) -> Result<Vec<KeyObject>, ApiError> {
    let (accounts, now) = (api.store.accounts(project.id).await?, api.clock.now());
    let object = |record| {
        let owner = accounts.iter().find(|account| Some(account.id) == account_of(record));
        KeyObject::new(record, owner, now)
    };
    Ok(keys.iter().map(object).collect())
}

fn account_of(record: &KeyRecord) -> Option<ServiceAccountId> {
    match record.owner {
        KeyOwner::Project { account, .. } => Some(account),
        KeyOwner::Admin { .. } | KeyOwner::Operator => None,
    }
}
