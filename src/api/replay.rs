//! Repeats the answer to a POST that was sent before with the same `Idempotency-Key`. Requests that make videos are not
//! among them: their key is stored with the job.
//!
//! What a request changes becomes durable in one transaction with its answer: a crash between the two cannot be. Only success
//! is kept, for a day, and encrypted, since some answers hold a new secret.

use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody, to_bytes};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpRequest, HttpResponse, ResponseError, web};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::auth::charge;
use super::body::{self, Limits};
use super::credentials::Identity;
use super::errors::{ApiError, ErrorCode};
use super::idempotency::{KEY_HEADER, KeyGuard, key_of};
use super::ratelimit::RouteClass;
use super::state::Api;
use crate::domain::clock::UnixMillis;
use crate::domain::key::KeyOwner;
use crate::store::{Answer, AnswerKey, HeldWrites, StoreError, hold_back, together};

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
    match recognise_whole(&api, &mut request).await {
        Err(error) => Ok(request.into_response(error.error_response())),
        Ok(Found::Answer(text)) => Ok(request.into_response(repeat(&api, text))),
        Ok(Found::New(new)) => {
            let (response, held) = hold_back(async {
                let response = next.call(request).await?.map_into_boxed_body();
                keep(&api, &new, response).await
            })
            .await;
            commit(&api, response?, held).await
        }
    }
}

/// Does a request once whose body is a form, which only its route can read. `fingerprint` is that of its fields.
pub(crate) async fn once<T: Serialize>(
    api: &Api,
    request: &HttpRequest,
    identity: &Identity,
    fingerprint: &str,
    deed: impl Future<Output = Result<T, ApiError>>,
) -> Result<HttpResponse, ApiError> {
    if !request.headers().contains_key(KEY_HEADER) {
        return Ok(HttpResponse::Ok().json(deed.await?));
    }
    let to = AnswerKey { owner: owner_of(identity), route: request.path().to_owned(), key: key_of(request)? };
    match recognise(api, to, digest(identity, fingerprint.as_bytes())).await? {
        Found::Answer(text) => Ok(repeat(api, text)),
        Found::New(new) => {
            let body = together(&*api.store, async {
                let body = serde_json::to_vec(&deed.await?).map_err(|error| ApiError::internal(&error))?;
                new.keep(api, &body).await?;
                Ok::<_, ApiError>(body)
            })
            .await?;
            Ok(HttpResponse::Ok().content_type("application/json").body(body))
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
    /// In use until there is an answer.
    _in_flight: KeyGuard,
}

/// Recognises a request by its whole body, which is handed on. It is counted before anything is read of it, whatever the
/// answer will be.
async fn recognise_whole(api: &Api, request: &mut ServiceRequest) -> Result<Found, ApiError> {
    let identity = charge(request.request()).await?;
    let key = key_of(request.request())?;
    let payload = request.extract::<web::Payload>().await.map_err(|error| ApiError::internal(&error))?;
    let bytes = body::whole(request.request(), payload, Limits::PLAIN).await?;
    request.set_payload(Payload::from(bytes.clone()));
    let to = AnswerKey { owner: owner_of(&identity), route: request.path().to_owned(), key };
    let canonical = body::fingerprint(&bytes).map_or_else(|| bytes.to_vec(), String::into_bytes);
    recognise(api, to, digest(&identity, &canonical)).await
}

async fn recognise(api: &Api, to: AnswerKey, fingerprint: String) -> Result<Found, ApiError> {
    let in_flight = api.in_flight_keys.claim(&to.owner, &to.route, &to.key)?;
    let not_before = UnixMillis(api.clock.now().0.saturating_sub(REMEMBER.as_millis() as u64));
    match api.store.answer(to.clone(), not_before).await? {
        None => Ok(Found::New(New { to, fingerprint, _in_flight: in_flight })),
        Some(answer) if answer.fingerprint != fingerprint => {
            let message = "the idempotency key was used with another request";
            Err(ApiError::new(ErrorCode::IdempotencyKeyReused, message))
        }
        Some(answer) => {
            let opened = api.sealer.open_bytes(&to.owner, &answer.sealed);
            opened.map(Found::Answer).map_err(|error| ApiError::internal(&error))
        }
    }
}

fn repeat(api: &Api, text: Vec<u8>) -> HttpResponse {
    api.metrics.idempotent_replays_total.increment(["key"]);
    let mut response = HttpResponse::Ok();
    response.content_type("application/json");
    response.insert_header((REPLAYED, HeaderValue::from_static("true")));
    response.body(text)
}

/// Keeps the answer with what was done, if it is one of success.
async fn keep(
    api: &Api,
    new: &New,
    response: ServiceResponse<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if response.status() != StatusCode::OK {
        return Ok(response);
    }
    let (request, response) = response.into_parts();
    let (response, body) = response.into_parts();
    let bytes = to_bytes(body).await.unwrap_or_default();
    new.keep(api, &bytes).await.map_err(ApiError::from)?;
    Ok(ServiceResponse::new(request, response.set_body(BoxBody::new(bytes))))
}

/// Makes what was done durable; nothing stays of what was refused.
async fn commit(
    api: &Api,
    response: ServiceResponse<BoxBody>,
    held: HeldWrites,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if response.status() != StatusCode::OK {
        return Ok(response);
    }
    match api.store.commit(held).await {
        Ok(()) => Ok(response),
        Err(error) => Ok(response.into_response(ApiError::from(error).error_response())),
    }
}

impl New {
    async fn keep(&self, api: &Api, body: &[u8]) -> Result<(), StoreError> {
        let sealed = api.sealer.seal_bytes(&self.to.owner, body, api.random.as_ref());
        let answer = Answer { fingerprint: self.fingerprint.clone(), answered_at: api.clock.now(), sealed };
        api.store.keep_answer(self.to.clone(), answer).await
    }
}

/// The project or organisation that the key belongs to.
fn owner_of(identity: &Identity) -> String {
    match identity.key.owner {
        KeyOwner::Project { scope, .. } => scope.project.to_string(),
        KeyOwner::Admin { organization } => organization.to_string(),
        KeyOwner::Operator => String::new(),
    }
}

/// Digest of who asks and what for: an answer is repeated to the key that got it only, and never to a token that may do
/// less than whoever got it.
fn digest(identity: &Identity, asked: &[u8]) -> String {
    let mut digest = Sha256::new().chain_update(identity.key.id.to_string());
    if let Some(lent) = identity.lent() {
        digest.update(lent);
    }
    digest.chain_update(asked).finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
