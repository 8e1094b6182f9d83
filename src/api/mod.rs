//! HTTP in, HTTP out: the contract with clients. Decides who may ask and what is asked; what happens then is `jobs`' business.
//!
//! Read in this order: the whole (`app`), what wraps a request (`headers`, `cors`, `auth`), how it is read (`body`, `query`),
//! what is done (`routes`), and what is answered (`dto`, `errors`).

mod app;
mod auth;
mod body;
mod cors;
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
mod routes;
mod state;
mod wait;

pub use app::{app, openapi};
pub use idempotency::InFlightKeys;
pub use link::LinkSigner;
pub use ratelimit::RateLimiter;
pub use state::{Api, ContentDelivery, Readiness, ReadinessCheck};
