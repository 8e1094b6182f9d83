//! From the faults that the rules name to the codes that a client sees.

use std::time::Duration;

use super::{ApiError, ErrorCode};
use crate::domain::request::{BadRequest, RequestFault};
use crate::jobs::{JobsError, Overload};
use crate::store::StoreError;
use crate::webhooks::WebhookError;

/// How soon a store that did not answer may be asked again.
const STORE_RETRY: Duration = Duration::from_secs(1);

/// How soon another process may have taken over.
const DRAINING_RETRY: Duration = Duration::from_secs(5);

/// A full queue is looked at again the later the longer it is: a second for so many jobs, up to the contract's most.
const JOBS_A_SECOND: u64 = 100;
const LONGEST_OVERLOAD_WAIT: Duration = Duration::from_secs(30);

/// When to look again for a video of which nobody knows how long it takes: as often as the SDKs poll.
const UNKNOWN_WAIT: Duration = Duration::from_secs(1);

/// A client is not told to come back later than this.
const LONGEST_NOT_READY_WAIT: Duration = Duration::from_secs(60);

impl From<BadRequest> for ApiError {
    fn from(bad: BadRequest) -> Self {
        let code = match bad.fault {
            RequestFault::Missing => ErrorCode::MissingRequiredParameter,
            RequestFault::Type => ErrorCode::InvalidType,
            RequestFault::Value => ErrorCode::InvalidValue,
            RequestFault::TooLong => ErrorCode::StringAboveMaxLength,
            RequestFault::Unknown => ErrorCode::UnknownParameter,
            RequestFault::Unsupported => ErrorCode::UnsupportedParameter,
            RequestFault::ModelOperation => ErrorCode::ModelOperationMismatch,
            RequestFault::Variant => ErrorCode::VariantNotDeployed,
            RequestFault::ModelNotFound => ErrorCode::ModelNotFound,
            RequestFault::CallbackUrl => ErrorCode::CallbackUrlNotAllowed,
            RequestFault::ImageAspect => ErrorCode::ImageAspectRatio,
        };
        let error = Self::new(code, bad.message);
        match bad.param {
            Some(param) => error.about(param),
            None => error,
        }
    }
}

impl From<JobsError> for ApiError {
    fn from(error: JobsError) -> Self {
        match error {
            JobsError::NotFound => Self::video_not_found(),
            JobsError::UnknownAfter => {
                Self::invalid_value("after", "`after` is no item of this list of the project's")
            }
            JobsError::NoSuchFile => Self::file_not_found(),
            JobsError::SourceGone => Self::new(ErrorCode::SourceUnavailable, "the source's picture is gone"),
            JobsError::InProgress => {
                Self::new(ErrorCode::VideoInProgress, "the job is not over; cancel it first")
            }
            JobsError::NotCancellable(state) => {
                let message = format!("a video that is {} cannot be cancelled", state.as_str());
                Self::new(ErrorCode::VideoNotCancellable, message)
            }
            JobsError::NotReady { eta_seconds } => {
                let eta = eta_seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
                let wait = eta.unwrap_or(UNKNOWN_WAIT).min(LONGEST_NOT_READY_WAIT);
                Self::new(ErrorCode::VideoNotReady, "the video is not ready yet").after(wait)
            }
            JobsError::NotAvailable => {
                Self::new(ErrorCode::VideoNotAvailable, "the job failed; there is no video")
            }
            JobsError::Expired => Self::new(ErrorCode::VideoExpired, "the video's files have expired"),
            JobsError::NoSuchVariant => {
                Self::new(ErrorCode::AssetNotAvailable, "the video has no file of this variant")
                    .about("variant")
            }
            JobsError::TooManyActive { limit, wait } => {
                let message = format!("the project has {limit} active jobs, as many as it may");
                Self::new(ErrorCode::ConcurrencyLimitExceeded, message).after(wait)
            }
            JobsError::QuotaSpent { most_ms, wait } => {
                let message = format!(
                    "the limit of {} GPU-seconds leaves no room for this job; see x-ratelimit-remaining-gpu-seconds",
                    most_ms / 1000
                );
                Self::new(ErrorCode::InsufficientQuota, message).after(wait)
            }
            JobsError::NeverFits { need_ms, most_ms } => {
                let message = format!(
                    "such a job is expected to take {} GPU-seconds, more than the limit of {}, so it never fits; make it \
                     shorter, smaller or with fewer steps, or have the limit raised",
                    need_ms.div_ceil(1000),
                    most_ms / 1000
                );
                Self::new(ErrorCode::InsufficientQuota, message)
            }
            JobsError::KeyReused => {
                let message = "the idempotency key was used with another request";
                Self::new(ErrorCode::IdempotencyKeyReused, message)
            }
            JobsError::Draining => {
                Self::new(ErrorCode::ServerDraining, "the server is about to stop").after(DRAINING_RETRY)
            }
            JobsError::Overloaded(overload) => {
                let (Overload::QueueFull { depth } | Overload::NoWorker { depth }) = overload;
                let wait = Duration::from_secs(1 + depth as u64 / JOBS_A_SECOND).min(LONGEST_OVERLOAD_WAIT);
                Self::new(ErrorCode::ServerIsOverloaded, overload.to_string()).after(wait)
            }
            JobsError::Store(error) => error.into(),
            JobsError::Storage(error) => {
                tracing::error!(error = %error, "the storage failed");
                Self::new(ErrorCode::ServerIsOverloaded, "the server cannot reach its storage now")
                    .after(STORE_RETRY)
            }
        }
    }
}

impl From<WebhookError> for ApiError {
    fn from(error: WebhookError) -> Self {
        match error {
            WebhookError::Store(StoreError::NotFound) => {
                Self::new(ErrorCode::ResourceNotFound, "no such webhook endpoint or delivery")
            }
            WebhookError::Store(error) => error.into(),
            WebhookError::Url(refusal) => {
                tracing::debug!(%refusal, "a webhook URL was refused");
                Self::new(ErrorCode::CallbackUrlNotAllowed, "the URL is not allowed").about("url")
            }
            WebhookError::TooMany { limit } => {
                Self::new(ErrorCode::InvalidValue, format!("a project has at most {limit} endpoints"))
            }
            WebhookError::Sealed => Self::internal(&error),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => {
                tracing::error!(error = %error, "the store does not answer");
                Self::new(ErrorCode::ServerIsOverloaded, "the server cannot reach its store now")
                    .after(STORE_RETRY)
            }
            StoreError::NotFound
            | StoreError::NotEnded
            | StoreError::TooManyActive { .. }
            | StoreError::QuotaSpent { .. }
            | StoreError::KeyReused
            | StoreError::Exists
            | StoreError::Move(_)
            | StoreError::Locked
            | StoreError::Corrupt(_) => Self::internal(&error),
        }
    }
}
