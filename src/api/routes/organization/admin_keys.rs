//! `/v1/organization/admin_api_keys…`: the keys of administrators. A value is shown once.

use actix_web::{HttpRequest, HttpResponse, delete, get, post, web};

use super::{missing, note, take_name, take_scopes, take_seconds};
use crate::api::auth::{Admin, ReadOrganization, WriteOrganization};
use crate::api::body::{self, Accepts, Limits};
use crate::api::dto::{AdminKeyBody, AdminKeyList, AdminKeyObject, DeletedObject, ListObject};
use crate::api::errors::ApiError;
use crate::api::paging::{Page, nothing_goes};
use crate::api::query::Query;
use crate::api::state::Api;
use crate::domain::audit::AuditKind;
use crate::domain::id::KeyId;
use crate::domain::key::{KeyOwner, KeyRecord, Scope};
use crate::jobs::KeyTerms;
use crate::store::{KeysOf, together};

/// Make an admin key
#[utoipa::path(operation_id = "admin-api-keys-create", tag = "Administration", security(("adminBearer" = [])), request_body(content = AdminKeyBody, content_type = "application/json", example = json!({"name": "terraform", "scopes": ["org.read"]})), responses((status = 200, description = "The key with its value.", body = AdminKeyObject)))]
#[post("/v1/organization/admin_api_keys")]
pub(crate) async fn create_admin_key(
    admin: Admin<WriteOrganization>,
    request: HttpRequest,
    payload: web::Payload,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let mut fields = body::read(&request, payload, Accepts::Json, Limits::PLAIN).await?;
    let name = take_name(&mut fields)?;
    let scopes = take_scopes(&mut fields, &Scope::ADMIN)?;
    let life = take_seconds(&mut fields, "expires_in_seconds", 1..=u64::from(u32::MAX))?;
    fields.finish()?;
    let owner = KeyOwner::Admin { organization: admin.organization() };
    let expires_at = life.map(|life| api.clock.now().after(life));
    let (record, text) = together(&*api.store, async {
        let (record, text) = api.keys.create(KeyTerms { name, owner, scopes, expires_at }).await?;
        let (kind, name) = (AuditKind::AdminApiKeyCreated, record.name.clone());
        note(&api, &admin, None, kind, record.id, Some(name)).await?;
        Ok::<_, ApiError>((record, text))
    })
    .await?;
    Ok(HttpResponse::Ok().json(AdminKeyObject::new(&record, Some(&text), api.clock.now())))
}

/// List admin keys
#[utoipa::path(operation_id = "admin-api-keys-list", tag = "Administration", security(("adminBearer" = [])), params(("after" = Option<String>, Query), ("limit" = Option<u32>, Query, minimum = 0, maximum = 100), ("order" = Option<String>, Query)), responses((status = 200, description = "A page.", body = AdminKeyList)))]
#[get("/v1/organization/admin_api_keys")]
pub(crate) async fn list_admin_keys(
    admin: Admin<ReadOrganization>,
    request: HttpRequest,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let page = Page::<KeyId>::of(&Query::of(&request)?)?;
    let keys = api.store.keys(KeysOf::Organization(admin.organization())).await?;
    let (keys, has_more) = page.cut(keys, |record| record.id, nothing_goes).await?;
    let now = api.clock.now();
    let data = keys.iter().map(|record| AdminKeyObject::new(record, None, now)).collect();
    Ok(HttpResponse::Ok().json(ListObject::new(data, has_more, AdminKeyObject::id)))
}

/// Read an admin key
#[utoipa::path(operation_id = "admin-api-keys-get", tag = "Administration", security(("adminBearer" = [])), params(("key_id" = String, Path)), responses((status = 200, description = "The key without its value.", body = AdminKeyObject)))]
#[get("/v1/organization/admin_api_keys/{key_id}")]
pub(crate) async fn get_admin_key(
    admin: Admin<ReadOrganization>,
    id: web::Path<String>,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let record = key(&api, &admin, &id).await?;
    Ok(HttpResponse::Ok().json(AdminKeyObject::new(&record, None, api.clock.now())))
}

/// Revoke an admin key
#[utoipa::path(operation_id = "admin-api-keys-delete", tag = "Administration", security(("adminBearer" = [])), params(("key_id" = String, Path)), responses((status = 200, description = "It works no more.", body = DeletedObject)))]
#[delete("/v1/organization/admin_api_keys/{key_id}")]
pub(crate) async fn delete_admin_key(
    admin: Admin<WriteOrganization>,
    id: web::Path<String>,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let record = key(&api, &admin, &id).await?;
    if record.revoked_at.is_some() {
        return Err(missing());
    }
    together(&*api.store, async {
        api.keys.revoke(record.id).await?;
        note(&api, &admin, None, AuditKind::AdminApiKeyDeleted, record.id, Some(record.name)).await
    })
    .await?;
    let object = "organization.admin_api_key.deleted";
    Ok(HttpResponse::Ok().json(DeletedObject { id: record.id.to_string(), object, deleted: true }))
}

async fn key<P>(api: &Api, admin: &Admin<P>, id: &str) -> Result<KeyRecord, ApiError> {
    let id = id.parse().map_err(|_| missing())?;
    let own = KeyOwner::Admin { organization: admin.organization() };
    api.store.key(id).await?.filter(|record| record.owner == own).ok_or_else(missing)
}
