//! Telling receivers what happened: signed, at least once, each receiver at its own pace.
//! Never decides that something happened: it reads the outbox.
//!
//! Read in this order: what is sent (`message`, `secret`, `signature`), when (`schedule`), by whom (`courier` one attempt,
//! `dispatcher` all of them), and what a project can say about it (`registry`).

mod courier;
mod dispatcher;
mod error;
mod message;
mod registry;
mod schedule;
mod secret;
mod signature;

pub use courier::Courier;
pub use dispatcher::Dispatcher;
pub use error::WebhookError;
pub use registry::{EndpointEdit, Revealed, Webhooks};
pub use schedule::{ATTEMPTS, Outcome, verdict};
pub use secret::{SecretBox, SigningSecret};
pub use signature::signature;
