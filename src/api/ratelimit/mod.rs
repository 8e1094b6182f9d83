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
pub(crate) use standing::{Account, Requests, Standing};

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
                of_minute_and_day(self.create.take(&project, allowance.creates_per_minute), || {
                    self.create_daily.take(&project, allowance.creates_per_day)
                })
            }
            RouteClass::Read => self.read.take(&project, allowance.reads_per_minute),
            RouteClass::Content => self.content.take(&project, allowance.content_per_minute),
        };
        Standing { requests, ..Standing::default() }
    }

    /// The same for a model that has limits of its own.
    pub(crate) fn take_of_model(
        &self,
        project: ProjectId,
        model: &ModelId,
        allowance: &Allowance,
    ) -> Requests {
        let key = (project, model.clone());
        of_minute_and_day(self.create_of_model.take(&key, allowance.creates_per_minute), || {
            self.create_of_model_daily.take(&key, allowance.creates_per_day)
        })
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

/// The stricter of two buckets; what the first refuses takes nothing from the other.
fn of_minute_and_day(minute: Requests, day: impl FnOnce() -> Requests) -> Requests {
    match minute.wait {
        Some(_) => minute,
        None => minute.or_stricter(day()),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_minute_refuses_takes_nothing_from_the_day() {
        let bucket = |limit, remaining| Requests { limit: Some(limit), remaining, ..Requests::default() };
        let refused = Requests { wait: Some(MINUTE), ..bucket(2, 0) };
        assert_eq!(of_minute_and_day(refused, || panic!("the day is asked")), refused);
        assert_eq!(of_minute_and_day(bucket(2, 1), || bucket(9, 8)), bucket(2, 1));
        assert_eq!(of_minute_and_day(bucket(2, 1), || bucket(9, 0)), bucket(9, 0));
        assert_eq!(of_minute_and_day(Requests::default(), || bucket(9, 8)), bucket(9, 8));
    }
}
