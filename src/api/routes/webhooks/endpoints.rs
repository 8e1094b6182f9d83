//! Registering, reading, changing and removing endpoints.

use std::collections::BTreeSet;

use actix_web::{HttpRequest, HttpResponse, delete, get, post, web};

use super::{id, note};
use crate::api::auth::{Caller, ReadWebhooks, WriteWebhooks};
use crate::api::body::{self, Accepts, Fields, Limits};
use crate::api::dto::{
    DeletedWebhookEndpoint, WebhookEndpointBody, WebhookEndpointList, WebhookEndpointObject,
};
use crate::api::errors::{ApiError, ErrorCode};
use crate::api::paging::Page;
use crate::api::query::Query;
use crate::api::state::Api;
use crate::domain::audit::AuditKind;
use crate::domain::clock::UnixMillis;
use crate::domain::event::EventKind;
use crate::domain::id::EndpointId;
use crate::domain::webhook::EndpointTarget;
use crate::store::together;
use crate::webhooks::EndpointEdit;

/// Room for a sentence or two.
const MAX_DESCRIPTION_CHARACTERS: usize = 512;

/// Register a webhook endpoint
///
/// The secret that signs its events is in this answer and in no other.
#[utoipa::path(
    operation_id = "createWebhookEndpoint",
    tag = "Webhooks",
    request_body(content((WebhookEndpointBody = "application/json", example = json!({"url": "https://example.com/hook", "events": ["video.completed", "video.failed"]})))),
    responses((status = 200, description = "The endpoint and its secret.", body = WebhookEndpointObject)),
)]
#[post("/v1/webhook_endpoints")]
pub(crate) async fn create_endpoint(
    caller: Caller<WriteWebhooks>,
    request: HttpRequest,
    payload: web::Payload,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let edit = edit(body::read(&request, payload, Accepts::Json, Limits::PLAIN).await?)?;
    let target = EndpointTarget {
        url: edit.url.ok_or_else(|| missing("url"))?,
        events: edit.events.ok_or_else(|| missing("events"))?,
        description: edit.description,
        enabled: edit.enabled.unwrap_or(true),
    };
    let made = together(&*api.store, async {
        let made = api.webhooks.create(caller.scope().project, target).await?;
        note(&api, &caller, AuditKind::WebhookCreated, made.of.id).await?;
        Ok::<_, ApiError>(made)
    })
    .await?;
    Ok(HttpResponse::Ok().json(WebhookEndpointObject::new(&made.of).revealing(&made.secret)))
}

/// List the webhook endpoints
#[utoipa::path(
    operation_id = "listWebhookEndpoints",
    tag = "Webhooks",
    params(
        ("after" = Option<String>, Query, description = "The page begins behind this endpoint."),
        ("limit" = Option<u32>, Query, minimum = 0, maximum = 100),
        ("order" = Option<String>, Query, description = "`desc` (default) or `asc` by creation."),
    ),
    responses((status = 200, description = "A page.", body = WebhookEndpointList)),
)]
#[get("/v1/webhook_endpoints")]
pub(crate) async fn list_endpoints(
    caller: Caller<ReadWebhooks>,
    request: HttpRequest,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let page = Page::<EndpointId>::of(&Query::of(&request)?)?;
    let scope = caller.scope();
    let endpoints = api.webhooks.list(scope.project).await?;
    let gone = async |id: EndpointId| {
        let ever = UnixMillis(id.unix_millis());
        Ok(api.audit.tells(scope, AuditKind::WebhookDeleted, &id.to_string(), ever).await?)
    };
    let (endpoints, has_more) = page.cut(endpoints, |endpoint| endpoint.id, gone).await?;
    Ok(HttpResponse::Ok().json(WebhookEndpointList::new(&endpoints, has_more)))
}

/// Read a webhook endpoint
#[utoipa::path(
    operation_id = "retrieveWebhookEndpoint",
    tag = "Webhooks",
    params(("endpoint_id" = String, Path, example = "we_0190f0c4a1b27c3c9d1e5b6f7a8b9c0d")),
    responses((status = 200, description = "The endpoint.", body = WebhookEndpointObject)),
)]
#[get("/v1/webhook_endpoints/{endpoint_id}")]
pub(crate) async fn get_endpoint(
    caller: Caller<ReadWebhooks>,
    endpoint: web::Path<String>,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let endpoint = api.webhooks.get(caller.scope().project, id(&endpoint)?).await?;
    Ok(HttpResponse::Ok().json(WebhookEndpointObject::new(&endpoint)))
}

/// Change a webhook endpoint
///
/// What is absent stays. Failures are forgiven, and an endpoint that was switched off gets events again.
#[utoipa::path(
    operation_id = "updateWebhookEndpoint",
    tag = "Webhooks",
    params(("endpoint_id" = String, Path, example = "we_0190f0c4a1b27c3c9d1e5b6f7a8b9c0d")),
    request_body(content((WebhookEndpointBody = "application/json", example = json!({"enabled": false})))),
    responses((status = 200, description = "The endpoint.", body = WebhookEndpointObject)),
)]
#[post("/v1/webhook_endpoints/{endpoint_id}")]
pub(crate) async fn update_endpoint(
    caller: Caller<WriteWebhooks>,
    request: HttpRequest,
    endpoint: web::Path<String>,
    payload: web::Payload,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let endpoint = id(&endpoint)?;
    let edit = edit(body::read(&request, payload, Accepts::Json, Limits::PLAIN).await?)?;
    let endpoint = together(&*api.store, async {
        note(&api, &caller, AuditKind::WebhookUpdated, endpoint).await?;
        Ok::<_, ApiError>(api.webhooks.edit(caller.scope().project, endpoint, edit).await?)
    })
    .await?;
    Ok(HttpResponse::Ok().json(WebhookEndpointObject::new(&endpoint)))
}

/// Remove a webhook endpoint
///
/// With it goes all that was on its way to it.
#[utoipa::path(
    operation_id = "deleteWebhookEndpoint",
    tag = "Webhooks",
    params(("endpoint_id" = String, Path, example = "we_0190f0c4a1b27c3c9d1e5b6f7a8b9c0d")),
    responses((status = 200, description = "It is gone.", body = DeletedWebhookEndpoint)),
)]
#[delete("/v1/webhook_endpoints/{endpoint_id}")]
pub(crate) async fn delete_endpoint(
    caller: Caller<WriteWebhooks>,
    endpoint: web::Path<String>,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    together(&*api.store, async {
        api.webhooks.remove(caller.scope().project, id(&endpoint)?).await?;
        note(&api, &caller, AuditKind::WebhookDeleted, endpoint.as_str()).await
    })
    .await?;
    Ok(HttpResponse::Ok().json(DeletedWebhookEndpoint {
        id: endpoint.into_inner(),
        object: "webhook_endpoint.deleted",
        deleted: true,
    }))
}

fn edit(mut fields: Fields) -> Result<EndpointEdit, ApiError> {
    let edit = EndpointEdit {
        url: fields.text("url")?,
        events: fields.list("events")?.map(events).transpose()?,
        description: fields.text("description")?,
        enabled: fields.boolean("enabled")?,
    };
    fields.finish()?;
    let long = |text: &String| text.chars().count() > MAX_DESCRIPTION_CHARACTERS;
    if edit.description.as_ref().is_some_and(long) {
        let message = format!("`description` has at most {MAX_DESCRIPTION_CHARACTERS} characters");
        return Err(ApiError::new(ErrorCode::StringAboveMaxLength, message).about("description"));
    }
    Ok(edit)
}

fn events(names: Vec<String>) -> Result<BTreeSet<EventKind>, ApiError> {
    let known = EventKind::ALL.map(EventKind::as_str).join(", ");
    let refused = || ApiError::invalid_value("events", format!("`events` holds one or more of {known}"));
    if names.is_empty() {
        return Err(refused());
    }
    names.iter().map(|name| EventKind::parse(name).ok_or_else(refused)).collect()
}

fn missing(field: &str) -> ApiError {
    ApiError::new(ErrorCode::MissingRequiredParameter, format!("`{field}` is required")).about(field)
}
