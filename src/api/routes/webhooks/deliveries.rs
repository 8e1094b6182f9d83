//! What was sent, to whom, and what came of it.

use actix_web::{HttpRequest, HttpResponse, get, post, web};

use super::id;
use crate::api::auth::{Caller, ReadWebhooks, WriteWebhooks};
use crate::api::dto::{WebhookDeliveryList, WebhookDeliveryObject};
use crate::api::errors::ApiError;
use crate::api::paging::{Page, unknown_after};
use crate::api::query::Query;
use crate::api::state::Api;
use crate::domain::webhook::DeliveryState;
use crate::store::DeliveryQuery;

/// Test a webhook endpoint
///
/// Sends `endpoint.test` now and once.
#[utoipa::path(
    operation_id = "testWebhookEndpoint",
    tag = "Webhooks",
    params(("endpoint_id" = String, Path, example = "we_0190f0c4a1b27c3c9d1e5b6f7a8b9c0d")),
    responses((status = 200, description = "What came of it.", body = WebhookDeliveryObject)),
)]
#[post("/v1/webhook_endpoints/{endpoint_id}/test")]
pub(crate) async fn test_endpoint(
    caller: Caller<WriteWebhooks>,
    endpoint: web::Path<String>,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let delivery = api.webhooks.test(caller.scope().project, id(&endpoint)?).await?;
    Ok(HttpResponse::Ok().json(WebhookDeliveryObject::new(&delivery)))
}

/// List webhook deliveries
#[utoipa::path(
    operation_id = "listWebhookDeliveries",
    tag = "Webhooks",
    params(
        ("endpoint_id" = Option<String>, Query),
        ("video_id" = Option<String>, Query),
        ("state" = Option<String>, Query, description = "`pending`, `delivered`, `failed` or `exhausted`."),
        ("after" = Option<String>, Query, description = "The page begins behind this delivery."),
        ("limit" = Option<u32>, Query, minimum = 0, maximum = 100),
        ("order" = Option<String>, Query, description = "`desc` (default) or `asc` by creation."),
    ),
    responses((status = 200, description = "A page.", body = WebhookDeliveryList)),
)]
#[get("/v1/webhook_deliveries")]
pub(crate) async fn list_deliveries(
    caller: Caller<ReadWebhooks>,
    request: HttpRequest,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let query = Query::of(&request)?;
    let page = Page::of(&query)?;
    let state = query.text("state").map(|name| {
        let message = "`state` must be pending, delivered, failed or exhausted";
        DeliveryState::parse(name).ok_or_else(|| ApiError::invalid_value("state", message))
    });
    let query = DeliveryQuery {
        order: page.order,
        endpoint: query.parsed("endpoint_id", "the id of an endpoint")?,
        video: query.parsed("video_id", "the id of a video")?,
        state: state.transpose()?,
        after: page.after,
        limit: page.limit,
    };
    if let Some(after) = query.after
        && !api.webhooks.can_go_on_behind(caller.scope().project, after).await?
    {
        return Err(unknown_after());
    }
    let page = api.webhooks.deliveries(caller.scope().project, query).await?;
    Ok(HttpResponse::Ok().json(WebhookDeliveryList::new(&page.deliveries, page.has_more)))
}

/// Repeat a webhook delivery
///
/// Sends the event again with the same `webhook-id`, whatever became of it before.
#[utoipa::path(
    operation_id = "redeliverWebhook",
    tag = "Webhooks",
    params(("delivery_id" = String, Path, example = "wd_0190f0c4a1b27c3c9d1e5b6f7a8b9c0d")),
    responses((status = 200, description = "The delivery, due now.", body = WebhookDeliveryObject)),
)]
#[post("/v1/webhook_deliveries/{delivery_id}/redeliver")]
pub(crate) async fn redeliver(
    caller: Caller<WriteWebhooks>,
    delivery: web::Path<String>,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let delivery = api.webhooks.redeliver(caller.scope().project, id(&delivery)?).await?;
    Ok(HttpResponse::Ok().json(WebhookDeliveryObject::new(&delivery)))
}
