//! Recognises a request that was sent before: by its `Idempotency-Key` and by what it asks for, never by its raw bytes,
//! since the SDKs draw a new multipart boundary for each try.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::HttpRequest;

use super::body::Fields;
use super::errors::{ApiError, ErrorCode};
use super::state::Api;
use crate::domain::id::ProjectId;
use crate::domain::job::JobStatus;
use crate::domain::key::ProjectScope;
use crate::jobs::{IdempotencyUse, JobView};

/// The longest key.
const MAX_KEY: usize = 255;

/// How soon a repetition may ask again while the first request is being worked on.
const IN_FLIGHT_RETRY: Duration = Duration::from_secs(1);

/// What makes a repeated request the same request; `None` without a key.
#[derive(Debug)]
pub(crate) struct Repeatable(Option<IdempotencyUse>);

/// Requests with a key that are being worked on, by project, route and key.
#[derive(Debug, Clone, Default)]
pub struct InFlightKeys(Arc<Mutex<HashSet<(ProjectId, String, String)>>>);

/// A key in use until the request is answered.
pub(crate) struct KeyGuard {
    keys: InFlightKeys,
    entry: (ProjectId, String, String),
}

impl Repeatable {
    /// Reads the header, and the body before any field is taken out of it.
    pub(crate) fn of(request: &HttpRequest, fields: &Fields) -> Result<Self, ApiError> {
        let Some(header) = request.headers().get("idempotency-key") else { return Ok(Self(None)) };
        let invalid = || {
            let message = format!("an idempotency key is 1 to {MAX_KEY} printable ASCII characters");
            ApiError::new(ErrorCode::InvalidIdempotencyKey, message)
        };
        let text = header.to_str().map_err(|_| invalid())?;
        let bare = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
        if bare.is_empty() || bare.len() > MAX_KEY || !bare.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        {
            return Err(invalid());
        }
        let route = request.path().to_owned();
        Ok(Self(Some(IdempotencyUse { route, key: bare.to_owned(), fingerprint: fields.fingerprint() })))
    }

    /// Marks the key as in use; refused while another request with it is being worked on.
    pub(crate) fn claim(
        self,
        api: &Api,
        scope: ProjectScope,
    ) -> Result<(Option<IdempotencyUse>, Option<KeyGuard>), ApiError> {
        let Some(used) = self.0 else { return Ok((None, None)) };
        let entry = (scope.project, used.route.clone(), used.key.clone());
        let mut keys = api.in_flight_keys.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !keys.insert(entry.clone()) {
            let message = "a request with this idempotency key is being worked on";
            return Err(ApiError::new(ErrorCode::IdempotencyKeyInUse, message).after(IN_FLIGHT_RETRY));
        }
        Ok((Some(used), Some(KeyGuard { keys: api.in_flight_keys.clone(), entry })))
    }
}

impl Drop for KeyGuard {
    fn drop(&mut self) {
        self.keys.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.entry);
    }
}

/// The job as it was answered when it was created.
pub(crate) fn created_then(view: JobView) -> JobView {
    let mut job = view.job;
    job.status = JobStatus::new(job.created_at);
    JobView { job, ..view }
}
