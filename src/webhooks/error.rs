//! What can go wrong with webhooks, as their owner's call meets it.

use crate::net::Refusal;
use crate::store::StoreError;

/// A failed call.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the URL is not allowed: {0}")]
    Url(#[from] Refusal),
    #[error("the project has {limit} endpoints, as many as it may")]
    TooMany { limit: usize },
    /// The pepper has changed, or the store was tampered with.
    #[error("a secret cannot be unsealed")]
    Sealed,
}
