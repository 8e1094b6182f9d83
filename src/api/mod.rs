//! HTTP in, HTTP out: the contract with clients. Decides who may ask and what is asked; what happens then is `jobs`' business.
//!
//! Read in this order: the whole (`app`), what wraps a request (`headers`, `cors`, `credentials`, `auth`), how it is read (`body`, `query`),
//! what is done (`routes`), and what is answered (`dto`, `errors`).

mod app;
mod auth;
mod body;
mod client_address;
mod client_socket;
mod cors;
mod credentials;
mod delivery;
mod dto;
mod errors;
mod headers;
mod idempotency;
mod link;
mod openapi;
mod paging;
mod picture;
mod query;
mod range;
mod ratelimit;
mod replay;
mod retries;
mod routes;
mod standby;
mod state;
mod wait;

pub use app::{app, openapi};
pub use client_socket::remember_client;
pub use idempotency::InFlightKeys;
pub use link::LinkSigner;
pub use ratelimit::RateLimiter;
pub use retries::RetryGuard;
pub use standby::standby;
pub use state::{Api, ContentDelivery, Readiness, ReadinessCheck};

/// What the operator's API on the other listener is made of, too.
pub(crate) mod parts {
    pub(crate) use super::auth::Operator;
    pub(crate) use super::body::{Accepts, Fields, Limits, inside, read};
    pub(crate) use super::dto::ListObject;
    pub(crate) use super::errors::{ApiError, ErrorCode};
    pub(crate) use super::headers::finish;
    pub(crate) use super::openapi::complete_operators;
    pub(crate) use super::paging::{Page, nothing_goes};
    pub(crate) use super::query::Query;
    pub(crate) use super::routes::docs::openapi_json;
    pub(crate) use super::routes::fallback::{KnownPaths, fallback};
}
