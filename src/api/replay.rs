//! Repeats the answer to a POST that was sent before with the same `Idempotency-Key`. Requests that make videos are not
//! among them: their key is stored with the job, in one transaction.
//!
//! Only success is kept, for a day, and encrypted, since some answers hold a new secret.

use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody, to_bytes};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse, ResponseError, web};
use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::auth::charge;
use super::body::{self, Limits};
use super::credentials::{Identity, identify};
use super::errors::{ApiError, ErrorCode};
use super::idempotency::{KEY_HEADER, KeyGuard, key_of};
use super::ratelimit::RouteClass;
use super::state::Api;
use crate::domain::clock::UnixMillis;
use crate::domain::key::KeyOwner;
use crate::store::{Answer, AnswerKey};

/// How long an answer is repeated.
const REMEMBER: Duration = Duration::from_secs(24 * 3600);

const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Wraps every request.
pub(crate) async fn replay(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let keyed = request.method() == Method::POST
        && request.path().starts_with("/v1/")
        && request.headers().contains_key(KEY_HEADER)
        && RouteClass::of(request.request()) != RouteClass::Create
        && !body::is_form(request.request());
    let api = request.app_data::<web::Data<Api>>().cloned();
    let Some(api) = api.filter(|_| keyed) else {
        return Ok(next.call(request).await?.map_into_boxed_body());
    };
    match recognise(&api, &mut request).await {
        Err(error) => Ok(request.into_response(error.error_response())),
        Ok(Found::Answer(text)) => {
            let mut response = HttpResponse::Ok();
            response.content_type("application/json");
            response.insert_header((REPLAYED, HeaderValue::from_static("true")));
            api.metrics.idempotent_replays_total.increment(["key"]);
            Ok(request.into_response(response.body(text)))
        }
        Ok(Found::New(new)) => {
            let response = next.call(request).await?.map_into_boxed_body();
            keep(&api, new, response).await
        }
    }
}

enum Found {
    /// The body that was answered before.
    Answer(Vec<u8>),
    New(New),
}

/// A request that was not answered before.
struct New {
    to: AnswerKey,
    fingerprint: String,
    in_flight: KeyGuard,
}

async fn recognise(api: &Api, request: &mut ServiceRequest) -> Result<Found, ApiError> {
    let key = key_of(request.request())?;
    let identity = identify(api, request.request()).await?;
    let payload = request.extract::<web::Payload>().await.map_err(|error| ApiError::internal(&error))?;
    let bytes = body::whole(request.request(), payload, Limits::PLAIN).await?;
    request.set_payload(Payload::from(bytes.clone()));
    let owner = owner_of(&identity);
    let to = AnswerKey { owner, route: request.path().to_owned(), key };
    let fingerprint = fingerprint(&identity, &bytes);
    let in_flight = api.in_flight_keys.claim(&to.owner, &to.route, &to.key)?;
    let not_before = UnixMillis(api.clock.now().0.saturating_sub(REMEMBER.as_millis() as u64));
    match api.store.answer(to.clone(), not_before).await? {
        None => Ok(Found::New(New { to, fingerprint, in_flight })),
        Some(answer) if answer.fingerprint != fingerprint => {
            let message = "the idempotency key was used with another request";
            Err(ApiError::new(ErrorCode::IdempotencyKeyReused, message))
        }
        Some(answer) => {
            charge(api, request.request(), &identity).await?;
            let opened = api.sealer.open_bytes(&to.owner, &answer.sealed);
            opened.map(Found::Answer).map_err(|error| ApiError::internal(&error))
        }
    }
}

/// Keeps the answer, if it is one of success.
async fn keep(
    api: &Api,
    new: New,
    response: ServiceResponse<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let json = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if response.status() != StatusCode::OK || !json {
        return Ok(response);
    }
    let (request, response) = response.into_parts();
    let (response, body) = response.into_parts();
    let bytes = to_bytes(body).await.unwrap_or_default();
    let New { to, fingerprint, in_flight } = new;
    let sealed = api.sealer.seal_bytes(&to.owner, &bytes, api.random.as_ref());
    let answer = Answer { fingerprint, answered_at: api.clock.now(), sealed };
    if let Err(error) = api.store.keep_answer(to, answer).await {
        // What was asked for is done: the answer is given, and a repetition would do it again.
        tracing::warn!(%error, "an answer could not be kept for repetitions");
    }
    drop(in_flight);
    Ok(ServiceResponse::new(request, response.set_body(BoxBody::new(bytes))))
}

/// The project or organisation that the key belongs to.
fn owner_of(identity: &Identity) -> String {
    match identity.key.owner {
        KeyOwner::Project { scope, .. } => scope.project.to_string(),
        KeyOwner::Admin { organization } => organization.to_string(),
        KeyOwner::Operator => String::new(),
    }
}

/// Digest of who asks and what for: an answer is repeated to the key that got it only.
fn fingerprint(identity: &Identity, body: &Bytes) -> String {
    let canonical = serde_json::from_slice::<serde_json::Value>(body).map(|value| value.to_string());
    let canonical = canonical.map_or_else(|_| body.to_vec(), String::into_bytes);
    let digest = Sha256::new().chain_update(identity.key.id.to_string()).chain_update(canonical).finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
