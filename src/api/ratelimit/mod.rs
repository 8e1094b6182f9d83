//! How often who may ask: a token bucket a project and class of routes, and one for strangers with wrong keys.
//! In this process only; what must hold across servers is counted in the store.

mod bucket;
mod standing;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::Method;

use bucket::Buckets;
pub(crate) use standing::{ActiveJobs, Standing};

use super::errors::{ApiError, ErrorCode};
use crate::domain::clock::Clock;
use crate::domain::id::ProjectId;
use crate::domain::limits::Limits;

/// Routes that share a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum RouteClass {
    Create,
    Read,
    Content,
}

/// All buckets of this process.
pub struct RateLimiter {
    limits: Limits,
    create: Buckets<ProjectId>,
    read: Buckets<ProjectId>,
    content: Buckets<ProjectId>,
    wrong_keys: Buckets<IpAddr>,
}

impl RateLimiter {
    /// Full buckets on `clock`.
    pub fn new(limits: Limits, clock: &Arc<dyn Clock>) -> Self {
        Self {
            limits,
            create: Buckets::new(limits.creates_per_minute, clock),
            read: Buckets::new(limits.reads_per_minute, clock),
            content: Buckets::new(limits.content_per_minute, clock),
            wrong_keys: Buckets::new(limits.wrong_keys_per_minute, clock),
        }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Takes a token for a request; what is left is told to the client in any case.
    pub(crate) fn take(&self, class: RouteClass, project: ProjectId) -> Standing {
        let buckets = match class {
            RouteClass::Create => &self.create,
            RouteClass::Read => &self.read,
            RouteClass::Content => &self.content,
        };
        buckets.take(&project)
    }

    /// Counts a wrong key; refused once there were too many from that address.
    pub(crate) fn wrong_key(&self, request: &HttpRequest) -> Result<(), ApiError> {
        let Some(peer) = request.peer_addr() else { return Ok(()) };
        match self.wrong_keys.take(&peer.ip()).wait {
            None => Ok(()),
            Some(wait) => Err(too_many("too many wrong keys from this address", wait)),
        }
    }
}

/// Refused for now.
pub(crate) fn too_many(message: &str, wait: Duration) -> ApiError {
    ApiError::new(ErrorCode::RateLimitExceeded, message).after(wait)
}

impl RouteClass {
    /// The class of a matched route.
    pub(crate) fn of(request: &HttpRequest) -> Self {
        let route = request.match_pattern().unwrap_or_default();
        let makes = matches!(
            route.as_str(),
            "/v1/videos" | "/v1/videos/generations" | "/v1/videos/from-image" | "/v1/files"
        ) || route.ends_with("/remix");
        if route.ends_with("/content") {
            Self::Content
        } else if makes && request.method() == Method::POST {
            Self::Create
        } else {
            Self::Read
        }
    }
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("RateLimiter").field("limits", &self.limits).finish_non_exhaustive()
    }
}
