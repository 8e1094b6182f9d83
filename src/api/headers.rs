//! What every answer carries, and what is counted about it: request id, timing, tenant, safety headers, metrics.

use std::panic::AssertUnwindSafe;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{CACHE_CONTROL, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use actix_web::http::uri::PathAndQuery;
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, web};
use futures_util::FutureExt;
use tracing::Instrument;

use super::auth::Authenticated;
use super::errors::ApiError;
use super::ratelimit::{Account, Standing};
use super::state::Api;
use super::wait::Waited;
use crate::domain::id::RequestId;
use crate::domain::trace::TraceContext;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const PROCESSING_MS: HeaderName = HeaderName::from_static("openai-processing-ms");
const VERSION: HeaderName = HeaderName::from_static("openai-version");
const ORGANIZATION: HeaderName = HeaderName::from_static("openai-organization");
const PROJECT: HeaderName = HeaderName::from_static("openai-project");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The version of OpenAI's API that the answers follow.
const OPENAI_VERSION: HeaderValue = HeaderValue::from_static("2020-10-01");

/// The longest id of their own that clients may have logged.
const MAX_CLIENT_REQUEST_ID: usize = 512;

/// Wraps every request.
pub(crate) async fn finish(
    mut request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let api = request
        .app_data::<web::Data<Api>>()
        .cloned()
        .ok_or_else(|| actix_web::error::ErrorInternalServerError("the server's state is missing"))?;
    let id = RequestId::new(api.clock.now().0, api.random.id_bytes());
    let started = api.clock.monotonic();
    drop_trailing_slash(&mut request);
    let (v1, operators) = (request.path().starts_with("/v1/"), request.path().starts_with("/admin/v1/"));
    let method = request.method().clone();
    let trace = trace(&api, &request);
    let trace_id = trace.trace_id();
    let span = tracing::info_span!("request", id = %id, trace_id, method = %method, path = request.path());
    request.extensions_mut().insert(trace);
    if let Some(client_id) = client_request_id(&request) {
        span.in_scope(|| tracing::debug!(client_request_id = client_id, "the client has an id of its own"));
    }

    api.metrics.http_requests_in_flight.add([], 1.0);
    let in_flight = InFlight(&api);
    let answering = AssertUnwindSafe(next.call(request).instrument(span.clone())).catch_unwind();
    // The panic has been logged where it happened; its request is gone with it, and so is most of what is told below.
    let mut response = answering.await.unwrap_or_else(|_| Err(broken(&id).into()))?;
    drop(in_flight);

    let waited = response.request().extensions().get::<Waited>().map(|waited| waited.0);
    let spent = api.clock.monotonic().since(started).saturating_sub(waited.unwrap_or_default());
    let tenant = response.request().extensions().get::<Authenticated>().copied();
    let standing = standing(&api, &response).await;
    let route = response.request().match_pattern().unwrap_or_else(|| "unknown".to_owned());
    let status = response.status();
    api.metrics.http_requests_total.increment([method.as_str(), &route, status.as_str()]);
    api.metrics.http_request_duration_seconds.observe([method.as_str(), &route], spent.as_secs_f64());
    let millis = spent.as_millis() as u64;
    span.in_scope(|| {
        if v1 || operators {
            tracing::info!(status = status.as_u16(), millis, "answered");
        } else {
            tracing::debug!(status = status.as_u16(), millis, "answered");
        }
    });

    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, value(&id.to_string()));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if v1 {
        headers.insert(PROCESSING_MS, HeaderValue::from(millis));
        headers.insert(VERSION, OPENAI_VERSION);
    }
    if (v1 || operators) && !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if let Some(standing) = standing {
        standing.describe(headers);
    }
    if let Some(Authenticated { organization, project }) = tenant {
        headers.insert(ORGANIZATION, value(&organization.to_string()));
        if let Some(project) = project {
            headers.insert(PROJECT, value(&project.to_string()));
        }
    }
    Ok(response)
}

/// The answer to a request that met a bug of ours.
fn broken(id: &RequestId) -> ApiError {
    let why = "a request panicked";
    let nosniff = (X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned());
    [(REQUEST_ID, id.to_string()), nosniff]
        .into_iter()
        .fold(ApiError::internal(&why), |error, (name, value)| error.with_header(name, value))
}

/// This request as a step of its client's trace, or of one of its own.
fn trace(api: &Api, request: &ServiceRequest) -> TraceContext {
    let headers = request.headers();
    let texts = |name| headers.get_all(name).map(|value| value.to_str().unwrap_or_default());
    let mut parents = texts(TRACEPARENT);
    let given = match (parents.next(), parents.next()) {
        (Some(parent), None) => TraceContext::parse(parent, texts(TRACESTATE)),
        // With several of them, nobody knows whose child it is.
        (_, _) => None,
    };
    given.map_or_else(|| TraceContext::start(api.random.as_ref()), |given| given.child(api.random.as_ref()))
}

/// How the caller's project stands now: what the request itself did counts.
async fn standing<B>(api: &Api, response: &ServiceResponse<B>) -> Option<Standing> {
    let (standing, account) = {
        let extensions = response.request().extensions();
        (extensions.get::<Standing>().copied(), extensions.get::<Account>().cloned())
    };
    let mut standing = standing?;
    if let Some(account) = account
        && let Err(error) = standing.look_up(api, &account).await
    {
        // The answer is what it is; it only says less about limits.
        tracing::warn!(%error, "the store does not say how a project stands");
    }
    Some(standing)
}

/// Counts a request until it is answered or its client is gone.
struct InFlight<'a>(&'a Api);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.metrics.http_requests_in_flight.add([], -1.0);
    }
}

/// `/v1/videos/` is `/v1/videos`.
fn drop_trailing_slash(request: &mut ServiceRequest) {
    let path = request.path();
    if !path.starts_with("/v1/") || !path.ends_with('/') {
        return;
    }
    let trimmed = path.trim_end_matches('/');
    let query = request.query_string();
    let target = if query.is_empty() { trimmed.to_owned() } else { format!("{trimmed}?{query}") };
    let Ok(target) = PathAndQuery::try_from(target) else { return };
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = Some(target);
    if let Ok(uri) = actix_web::http::Uri::from_parts(parts) {
        request.match_info_mut().get_mut().update(&uri);
        request.head_mut().uri = uri;
    }
}

fn client_request_id(request: &ServiceRequest) -> Option<&str> {
    let text = request.headers().get("x-client-request-id")?.to_str().ok()?;
    let printable = text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    (text.len() <= MAX_CLIENT_REQUEST_ID && printable).then_some(text)
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("ids are hex digits and letters")
}
