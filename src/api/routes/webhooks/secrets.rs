//! Secrets: shown once, and rotated with an overlap in which both sign.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, get, post, web};

use super::{id, note};
use crate::api::auth::{Caller, WriteWebhooks};
use crate::api::body::{self, Accepts, Limits};
use crate::api::dto::{CallbackSecretObject, RotateSecretBody, WebhookEndpointObject};
use crate::api::errors::ApiError;
use crate::api::state::Api;
use crate::domain::audit::AuditKind;
use crate::store::together;

/// A week: long enough to roll a secret out anywhere.
const MAX_OVERLAP_SECONDS: i64 = 604_800;
const DEFAULT_OVERLAP_SECONDS: i64 = 86_400;

/// Rotate an endpoint's secret
#[utoipa::path(
    operation_id = "rotateWebhookEndpointSecret",
    tag = "Webhooks",
    params(("endpoint_id" = String, Path, example = "we_0190f0c4a1b27c3c9d1e5b6f7a8b9c0d")),
    request_body(content((RotateSecretBody = "application/json", example = json!({"overlap_seconds": 3600})))),
    responses((status = 200, description = "The endpoint and its new secret.", body = WebhookEndpointObject)),
)]
#[post("/v1/webhook_endpoints/{endpoint_id}/rotate_secret")]
pub(crate) async fn rotate_secret(
    caller: Caller<WriteWebhooks>,
    request: HttpRequest,
    endpoint: web::Path<String>,
    payload: web::Payload,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let endpoint = id(&endpoint)?;
    let overlap = overlap(&request, payload).await?;
    let made = together(&*api.store, async {
        note(&api, &caller, AuditKind::WebhookSecretRotated, endpoint).await?;
        Ok::<_, ApiError>(api.webhooks.rotate(caller.scope().project, endpoint, overlap).await?)
    })
    .await?;
    Ok(HttpResponse::Ok().json(WebhookEndpointObject::new(&made.of).revealing(&made.secret)))
}

/// Read the callback secret
///
/// It signs what is sent to the `callback_url` of a request, and is shown once.
#[utoipa::path(
    operation_id = "retrieveWebhookCallbackSecret",
    tag = "Webhooks",
    responses((status = 200, description = "The secret, or null if it was shown before.", body = CallbackSecretObject)),
)]
#[get("/v1/webhook_endpoints/callback")]
pub(crate) async fn get_callback_secret(
    caller: Caller<WriteWebhooks>,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let secret = api.webhooks.callback_secret(caller.scope().project).await?;
    Ok(HttpResponse::Ok().json(CallbackSecretObject::new(secret.as_ref())))
}

/// Rotate the callback secret
#[utoipa::path(
    operation_id = "rotateWebhookCallbackSecret",
    tag = "Webhooks",
    request_body(content((RotateSecretBody = "application/json", example = json!({"overlap_seconds": 3600})))),
    responses((status = 200, description = "The new secret.", body = CallbackSecretObject)),
)]
#[post("/v1/webhook_endpoints/callback/rotate_secret")]
pub(crate) async fn rotate_callback_secret(
    caller: Caller<WriteWebhooks>,
    request: HttpRequest,
    payload: web::Payload,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let overlap = overlap(&request, payload).await?;
    let secret = together(&*api.store, async {
        note(&api, &caller, AuditKind::WebhookSecretRotated, "callback").await?;
        Ok::<_, ApiError>(api.webhooks.rotate_callback(caller.scope().project, overlap).await?)
    })
    .await?;
    Ok(HttpResponse::Ok().json(CallbackSecretObject::new(Some(&secret))))
}

async fn overlap(request: &HttpRequest, payload: web::Payload) -> Result<Duration, ApiError> {
    let mut fields = body::read(request, payload, Accepts::Json, Limits::PLAIN).await?;
    let seconds = fields.integer("overlap_seconds")?.unwrap_or(DEFAULT_OVERLAP_SECONDS);
    fields.finish()?;
    match u64::try_from(seconds) {
        Ok(whole) if seconds <= MAX_OVERLAP_SECONDS => Ok(Duration::from_secs(whole)),
        Ok(_) | Err(_) => {
            let message = format!("`overlap_seconds` must be an integer from 0 to {MAX_OVERLAP_SECONDS}");
            Err(ApiError::invalid_value("overlap_seconds", message))
        }
    }
}
