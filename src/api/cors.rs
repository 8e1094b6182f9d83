//! Lets the pages of listed origins call the API from a browser; without a list this is as if it were not there.

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderName, HeaderValue, ORIGIN, VARY,
};
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse, web};

use super::state::Api;

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, DELETE, OPTIONS");

/// Seconds for which a browser need not ask again.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// Headers that a page may send.
const MAY_SEND: [&str; 14] = [
    "authorization",
    "content-type",
    "accept",
    "idempotency-key",
    "prefer",
    "last-event-id",
    "range",
    "if-none-match",
    "if-range",
    "openai-organization",
    "openai-project",
    "traceparent",
    "tracestate",
    "x-client-request-id",
];

/// The SDKs send several headers that begin so.
const SDK_HEADERS: &str = "x-stainless-";

/// Headers that a page may read.
const MAY_READ: HeaderValue = HeaderValue::from_static(
    "x-request-id, location, etag, content-range, accept-ranges, content-disposition, retry-after, retry-after-ms, \
     x-should-retry, x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests, \
     x-ratelimit-limit-jobs, x-ratelimit-remaining-jobs, x-ratelimit-limit-gpu-seconds, \
     x-ratelimit-remaining-gpu-seconds, x-ratelimit-reset-gpu-seconds, ratelimit, ratelimit-policy, \
     openai-poll-after-ms, idempotent-replayed, preference-applied",
);

/// Answers preflights, before anyone is authenticated, and marks the answers to listed origins.
pub(crate) async fn cross_origin<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let allowed = request.app_data::<web::Data<Api>>().is_some_and(|api| {
        let origin = request.headers().get(ORIGIN).and_then(|origin| origin.to_str().ok());
        origin.is_some_and(|origin| api.allowed_origins.iter().any(|allowed| allowed == origin))
    });
    let Some(origin) = request.headers().get(ORIGIN).filter(|_| allowed).cloned() else {
        return Ok(next.call(request).await?.map_into_left_body());
    };
    let preflight =
        request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if preflight {
        let wanted = request.headers().get(ACCESS_CONTROL_REQUEST_HEADERS).map(granted);
        let mut answer = HttpResponse::NoContent();
        answer.insert_header((ACCESS_CONTROL_ALLOW_METHODS, METHODS));
        answer.insert_header((ACCESS_CONTROL_MAX_AGE, MAX_AGE));
        if let Some(names) = wanted {
            answer.insert_header((ACCESS_CONTROL_ALLOW_HEADERS, names));
        }
        request.into_response(answer.finish()).map_into_right_body()
    } else {
        let mut response = next.call(request).await?.map_into_left_body();
        response.headers_mut().insert(ACCESS_CONTROL_EXPOSE_HEADERS, MAY_READ);
        response
    };
    mark(response.headers_mut(), origin);
    Ok(response)
}

fn mark(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.append(VARY, HeaderValue::from_static("Origin"));
}

/// Those of the wanted headers that may be sent.
fn granted(wanted: &HeaderValue) -> String {
    let names = wanted.to_str().unwrap_or_default().split(',').map(str::trim);
    let good = names.filter(|name| {
        let name = name.to_ascii_lowercase();
        let sdk = name.starts_with(SDK_HEADERS) && HeaderName::from_bytes(name.as_bytes()).is_ok();
        sdk || MAY_SEND.contains(&name.as_str())
    });
    good.collect::<Vec<_>>().join(", ")
}
