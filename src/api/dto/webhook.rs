//! Webhook endpoints and deliveries as the wire shows them.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::webhook::{Attempt, Delivery, Endpoint};
use crate::webhooks::SigningSecret;

/// A registered receiver.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookEndpoint)]
pub(crate) struct WebhookEndpointObject {
    #[schema(example = "we_0190f0c4a1b27c3c9d1e5b6f7a8b9c0d")]
    id: String,
    #[schema(value_type = String, pattern = "^webhook_endpoint$")]
    object: &'static str,
    url: String,
    /// `video.completed`, `video.failed`, `video.in_progress`.
    #[schema(value_type = Vec<String>)]
    events: Vec<&'static str>,
    #[schema(required)]
    description: Option<String>,
    enabled: bool,
    /// `gone` (it answered 410) or `failing` (nothing but failures for three days); updating it forgives.
    #[schema(required, value_type = Option<String>)]
    disabled_reason: Option<&'static str>,
    /// Unix seconds.
    created_at: u64,
    /// Shown here only, on creation and rotation.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

/// A page of endpoints.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WebhookEndpointList {
    #[schema(value_type = String, pattern = "^list$")]
    object: &'static str,
    data: Vec<WebhookEndpointObject>,
    #[schema(required)]
    first_id: Option<String>,
    #[schema(required)]
    last_id: Option<String>,
    has_more: bool,
}

/// An endpoint that is gone.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeletedWebhookEndpoint {
    pub(crate) id: String,
    #[schema(value_type = String, pattern = "^webhook_endpoint.deleted$")]
    pub(crate) object: &'static str,
    pub(crate) deleted: bool,
}

/// The secret that signs what goes to `callback_url`s.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CallbackSecretObject {
    #[schema(value_type = String, pattern = "^webhook_callback$")]
    object: &'static str,
    /// Null once it has been shown; rotate it to see one.
    #[schema(required)]
    secret: Option<String>,
}

/// An event on its way to one receiver.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookDelivery)]
pub(crate) struct WebhookDeliveryObject {
    #[schema(example = "wd_0190f0c4a1b27c3c9d1e5b6f7a8b9c0d")]
    id: String,
    #[schema(value_type = String, pattern = "^webhook_delivery$")]
    object: &'static str,
    /// The header `webhook-id`, the same for all attempts.
    event_id: String,
    r#type: String,
    /// Null for a job's own `callback_url`.
    #[schema(required)]
    endpoint_id: Option<String>,
    #[schema(required)]
    video_id: Option<String>,
    /// `pending`, `delivered`, `failed` (to be tried again) or `exhausted`.
    #[schema(value_type = String)]
    state: &'static str,
    attempts: Vec<AttemptObject>,
    /// Unix seconds.
    #[schema(required)]
    next_attempt_at: Option<u64>,
    created_at: u64,
}

/// One try.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookAttempt)]
struct AttemptObject {
    /// Unix seconds.
    at: u64,
    #[schema(required)]
    status_code: Option<u16>,
    duration_seconds: f64,
    #[schema(required)]
    error: Option<String>,
}

/// A page of deliveries, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WebhookDeliveryList {
    #[schema(value_type = String, pattern = "^list$")]
    object: &'static str,
    data: Vec<WebhookDeliveryObject>,
    #[schema(required)]
    first_id: Option<String>,
    #[schema(required)]
    last_id: Option<String>,
    has_more: bool,
}

impl WebhookEndpointObject {
    pub(crate) fn new(endpoint: &Endpoint) -> Self {
        let target = &endpoint.target;
        Self {
            id: endpoint.id.to_string(),
            object: "webhook_endpoint",
            url: target.url.clone(),
            events: target.events.iter().map(|kind| kind.as_str()).collect(),
            description: target.description.clone(),
            enabled: endpoint.is_active(),
            disabled_reason: endpoint.health.disabled.map(|reason| reason.as_str()),
            created_at: endpoint.created_at.seconds(),
            secret: None,
        }
    }

    /// With the secret, this once.
    #[must_use]
    pub(crate) fn revealing(self, secret: &SigningSecret) -> Self {
        Self { secret: Some(secret.reveal()), ..self }
    }
}

impl WebhookEndpointList {
    pub(crate) fn new(endpoints: &[Endpoint], has_more: bool) -> Self {
        let data: Vec<_> = endpoints.iter().map(WebhookEndpointObject::new).collect();
        let id = |endpoint: Option<&WebhookEndpointObject>| endpoint.map(|endpoint| endpoint.id.clone());
        Self { object: "list", first_id: id(data.first()), last_id: id(data.last()), data, has_more }
    }
}

impl CallbackSecretObject {
    pub(crate) fn new(secret: Option<&SigningSecret>) -> Self {
        Self { object: "webhook_callback", secret: secret.map(SigningSecret::reveal) }
    }
}

impl WebhookDeliveryObject {
    pub(crate) fn new(delivery: &Delivery) -> Self {
        Self {
            id: delivery.id.to_string(),
            object: "webhook_delivery",
            event_id: delivery.event.to_string(),
            r#type: delivery.kind.clone(),
            endpoint_id: delivery.endpoint().map(|endpoint| endpoint.to_string()),
            video_id: delivery.video.map(|video| video.to_string()),
            state: delivery.state.as_str(),
            attempts: delivery.attempts.iter().map(AttemptObject::new).collect(),
            next_attempt_at: delivery.next_attempt_at.map(|at| at.seconds()),
            created_at: delivery.created_at.seconds(),
        }
    }
}

impl AttemptObject {
    fn new(attempt: &Attempt) -> Self {
        Self {
            at: attempt.at.seconds(),
            status_code: attempt.status,
            duration_seconds: attempt.millis as f64 / 1000.0,
            error: attempt.error.clone(),
        }
    }
}

impl WebhookDeliveryList {
    pub(crate) fn new(deliveries: &[Delivery], has_more: bool) -> Self {
        let data: Vec<_> = deliveries.iter().map(WebhookDeliveryObject::new).collect();
        let id = |delivery: Option<&WebhookDeliveryObject>| delivery.map(|delivery| delivery.id.clone());
        Self { object: "list", first_id: id(data.first()), last_id: id(data.last()), data, has_more }
    }
}
