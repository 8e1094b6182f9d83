//! `/v1/webhook_endpoints…` and `/v1/webhook_deliveries…`: receivers of events, and what was sent to them.

mod deliveries;
mod endpoints;
mod secrets;

pub(crate) use deliveries::{list_deliveries, redeliver, test_endpoint};
pub(crate) use endpoints::{create_endpoint, delete_endpoint, get_endpoint, list_endpoints, update_endpoint};
pub(crate) use secrets::{get_callback_secret, rotate_callback_secret, rotate_secret};

use std::str::FromStr;

use crate::api::auth::Caller;
use crate::api::errors::{ApiError, ErrorCode};
use crate::api::state::Api;
use crate::domain::audit::AuditKind;
use crate::jobs::Deed;

/// Writes down what the caller changed, in one transaction with it.
async fn note<P>(
    api: &Api,
    caller: &Caller<P>,
    kind: AuditKind,
    subject: impl ToString,
) -> Result<(), ApiError> {
    let (scope, actor, subject) = (caller.scope(), caller.actor(), subject.to_string());
    let (organization, project) = (Some(scope.organization), Some(scope.project));
    Ok(api.audit.note(Deed { organization, project, kind, actor, subject, detail: None }).await?)
}

/// A text that is no id names nothing, and says no more than an unknown id.
fn id<T: FromStr>(text: &str) -> Result<T, ApiError> {
    let missing = |_| ApiError::new(ErrorCode::ResourceNotFound, "no such webhook endpoint or delivery");
    text.parse().map_err(missing)
}
