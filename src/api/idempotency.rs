//! Recognises a request that was sent before: by its `Idempotency-Key` and by what it asks for, never by its raw bytes,
//! since the SDKs draw a new multipart boundary for each try.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::HttpRequest;

use super::body::Fields;
use super::errors::{ApiError, ErrorCode};
use super::state::Api;
use crate::domain::job::JobStatus;
use crate::domain::key::ProjectScope;
use crate::jobs::{IdempotencyUse, JobView};

/// Where the key stands.
pub(crate) const KEY_HEADER: &str = "idempotency-key";

/// The longest key.
const MAX_KEY: usize = 255;

/// How soon a repetition may ask again while the first request is being worked on.
const IN_FLIGHT_RETRY: Duration = Duration::from_secs(1);

/// What makes a repeated request the same request.
#[derive(Debug)]
pub(crate) struct Repeatable {
    fingerprint: String,
    /// `None` without a key.
    used: Option<IdempotencyUse>,
}

/// Requests with a key that are being worked on, by owner, route and key.
#[derive(Debug, Clone, Default)]
pub struct InFlightKeys(Arc<Mutex<HashSet<(String, String, String)>>>);

/// A key in use until the request is answered.
pub(crate) struct KeyGuard {
    keys: InFlightKeys,
    entry: (String, String, String),
}

impl Repeatable {
    /// Reads the header, and the body before any field is taken out of it.
    pub(crate) fn of(request: &HttpRequest, fields: &Fields) -> Result<Self, ApiError> {
        let fingerprint = fields.fingerprint();
        if !request.headers().contains_key(KEY_HEADER) {
            return Ok(Self { fingerprint, used: None });
        }
        let (route, key) = (request.path().to_owned(), key_of(request)?);
        let used = IdempotencyUse { route, key, fingerprint: fingerprint.clone() };
        Ok(Self { fingerprint, used: Some(used) })
    }

    /// How a try of an SDK is recognised that has no key; `None` with one, which says it better.
    pub(crate) fn without_key(&self) -> Option<&str> {
        self.used.is_none().then_some(&self.fingerprint)
    }

    /// Marks the key as in use; refused while another request with it is being worked on.
    pub(crate) fn claim(
        self,
        api: &Api,
        scope: ProjectScope,
    ) -> Result<(Option<IdempotencyUse>, Option<KeyGuard>), ApiError> {
        let Some(used) = self.used else { return Ok((None, None)) };
        let guard = api.in_flight_keys.claim(&scope.project.to_string(), &used.route, &used.key)?;
        Ok((Some(used), Some(guard)))
    }
}

impl InFlightKeys {
    /// Marks a key as in use until the guard is dropped; refused while it is.
    pub(crate) fn claim(&self, owner: &str, route: &str, key: &str) -> Result<KeyGuard, ApiError> {
        let entry = (owner.to_owned(), route.to_owned(), key.to_owned());
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !keys.insert(entry.clone()) {
            let message = "a request with this idempotency key is being worked on";
            return Err(ApiError::new(ErrorCode::IdempotencyKeyInUse, message).after(IN_FLIGHT_RETRY));
        }
        Ok(KeyGuard { keys: self.clone(), entry })
    }
}

/// The key of a request, bare or as a structured field.
pub(crate) fn key_of(request: &HttpRequest) -> Result<String, ApiError> {
    let invalid = || {
        let message = format!("an idempotency key is 1 to {MAX_KEY} printable ASCII characters");
        ApiError::new(ErrorCode::InvalidIdempotencyKey, message)
    };
    let header = request.headers().get(KEY_HEADER).ok_or_else(invalid)?;
    let text = header.to_str().map_err(|_| invalid())?;
    let bare = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let printable = bare.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if bare.is_empty() || bare.len() > MAX_KEY || !printable { Err(invalid()) } else { Ok(bare.to_owned()) }
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
