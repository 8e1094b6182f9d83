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
pub(crate) use standing::{Account, Standing};

use super::errors::{ApiError, ErrorCode};
use crate::domain::clock::Clock;
use crate::domain::id::{OrganizationId, ProjectId};
use crate::domain::limits::{Allowance, Limits};
use crate::domain::model::ModelId;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

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
    create_daily: Buckets<ProjectId>,
    create_of_model: Buckets<(ProjectId, ModelId)>,
    create_of_model_daily: Buckets<(ProjectId, ModelId)>,
    read: Buckets<ProjectId>,
    content: Buckets<ProjectId>,
    admin: Buckets<OrganizationId>,
    wrong_keys: Buckets<IpAddr>,
}

impl RateLimiter {
    /// Full buckets on `clock`.
    pub fn new(limits: Limits, clock: &Arc<dyn Clock>) -> Self {
        Self {
            limits,
            create: Buckets::new(MINUTE, clock),
            create_daily: Buckets::new(DAY, clock),
            create_of_model: Buckets::new(MINUTE, clock),
            create_of_model_daily: Buckets::new(DAY, clock),
            read: Buckets::new(MINUTE, clock),
            content: Buckets::new(MINUTE, clock),
            admin: Buckets::new(MINUTE, clock),
            wrong_keys: Buckets::new(MINUTE, clock),
        }
    }

    /// Takes a token for a request; what is left is told to the client in any case.
    pub(crate) fn take(&self, class: RouteClass, project: ProjectId, allowance: &Allowance) -> Standing {
        let requests = match class {
            RouteClass::Create => {
                let minute = self.create.take(&project, allowance.creates_per_minute);
                match minute.wait {
                    Some(_) => minute,
                    None => minute.or_stricter(self.create_daily.take(&project, allowance.creates_per_day)),
                }
            }
            RouteClass::Read => self.read.take(&project, allowance.reads_per_minute),
            RouteClass::Content => self.content.take(&project, allowance.content_per_minute),
        };
        Standing { requests, ..Standing::default() }
    }

    /// The same for a model that has limits of its own; refused if there are too many.
    pub(crate) fn take_of_model(
        &self,
        project: ProjectId,
        model: &ModelId,
        allowance: &Allowance,
    ) -> Result<(), ApiError> {
        let key = (project, model.clone());
        let minute = self.create_of_model.take(&key, allowance.creates_per_minute);
        let day = self.create_of_model_daily.take(&key, allowance.creates_per_day);
        match minute.wait.max(day.wait) {
            None => Ok(()),
            Some(wait) => Err(too_many("too many requests for this model", wait)),
        }
    }

    /// Takes a token for a request of an administrator.
    pub(crate) fn take_admin(&self, organization: OrganizationId) -> Standing {
        let requests = self.admin.take(&organization, self.limits.admin_per_minute);
        Standing { requests, ..Standing::default() }
    }

    /// Counts a wrong key; refused once there were too many from that address.
    pub(crate) fn wrong_key(&self, from: Option<IpAddr>) -> Result<(), ApiError> {
        let Some(from) = from else { return Ok(()) };
        match self.wrong_keys.take(&from, self.limits.wrong_keys_per_minute).wait {
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
