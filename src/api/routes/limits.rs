//! `/v1/limits`: what the project may do, and how much of it is in use.

use std::num::NonZeroU32;

use actix_web::{HttpResponse, get, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::auth::{AnyKey, Caller};
use crate::api::errors::ApiError;
use crate::api::state::Api;
use crate::domain::job::JobState;
use crate::store::{JobFilter, JobQuery};

/// The limits of the project.
#[derive(Serialize, ToSchema)]
struct LimitsObject {
    #[schema(value_type = String, pattern = "^limits$", example = "limits")]
    object: &'static str,
    data: Vec<RateLimitObject>,
    usage: LimitUsage,
}

/// The limits of one model, or of all with `*`; null is unlimited.
#[derive(Serialize, ToSchema)]
#[schema(as = RateLimit)]
struct RateLimitObject {
    #[schema(value_type = String, example = "rl_default")]
    id: &'static str,
    #[schema(value_type = String, pattern = "^project.rate_limit$", example = "project.rate_limit")]
    object: &'static str,
    #[schema(value_type = String, example = "*")]
    model: &'static str,
    #[schema(required)]
    max_requests_per_1_minute: Option<u32>,
    #[schema(required)]
    max_requests_per_1_day: Option<u32>,
    max_tokens_per_1_minute: u32,
    #[schema(required)]
    max_images_per_1_minute: Option<u32>,
    #[schema(required)]
    max_audio_megabytes_per_1_minute: Option<u32>,
    #[schema(required)]
    batch_1_day_max_input_tokens: Option<u32>,
    #[schema(required)]
    max_read_requests_per_1_minute: Option<u32>,
    #[schema(required)]
    max_content_requests_per_1_minute: Option<u32>,
    #[schema(required)]
    max_active_jobs: Option<u32>,
    #[schema(required)]
    max_running_jobs: Option<u32>,
    #[schema(required)]
    max_gpu_seconds_per_1_day: Option<f64>,
    #[schema(required)]
    max_gpu_seconds_per_1_month: Option<f64>,
}

/// What is in use.
#[derive(Serialize, ToSchema)]
struct LimitUsage {
    active_jobs: u32,
    running_jobs: u32,
    /// Charged since the start of the day (UTC).
    gpu_seconds_day: f64,
    /// Charged since the start of the month (UTC).
    gpu_seconds_month: f64,
}

/// Read the limits of the project
#[utoipa::path(operation_id = "getLimits", tag = "Limits", responses((status = 200, description = "Limits and use.", body = LimitsObject)))]
#[get("/v1/limits")]
pub(crate) async fn get_limits(
    caller: Caller<AnyKey>,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let limits = api.rates.limits();
    let number = |limit: Option<NonZeroU32>| limit.map(NonZeroU32::get);
    let default = RateLimitObject {
        id: "rl_default",
        object: "project.rate_limit",
        model: "*",
        max_requests_per_1_minute: number(limits.creates_per_minute),
        max_requests_per_1_day: None,
        max_tokens_per_1_minute: 0,
        max_images_per_1_minute: None,
        max_audio_megabytes_per_1_minute: None,
        batch_1_day_max_input_tokens: None,
        max_read_requests_per_1_minute: number(limits.reads_per_minute),
        max_content_requests_per_1_minute: number(limits.content_per_minute),
        max_active_jobs: number(limits.active_jobs),
        max_running_jobs: None,
        max_gpu_seconds_per_1_day: None,
        max_gpu_seconds_per_1_month: None,
    };
    let usage = usage(&api, &caller).await?;
    Ok(HttpResponse::Ok().json(LimitsObject { object: "limits", data: vec![default], usage }))
}

async fn usage(api: &Api, caller: &Caller<AnyKey>) -> Result<LimitUsage, ApiError> {
    let scope = caller.scope();
    let active_jobs = api.jobs.active(scope).await?;
    let filter = JobFilter { state: Some(JobState::InProgress), ..JobFilter::default() };
    let (running, _) =
        api.jobs.list(scope, JobQuery { limit: active_jobs, filter, ..JobQuery::default() }).await?;
    let now = api.clock.now();
    let (day, month) = super::usage::day_and_month(now);
    Ok(LimitUsage {
        active_jobs,
        running_jobs: running.len() as u32,
        gpu_seconds_day: super::usage::charged_since(api, scope, day).await?,
        gpu_seconds_month: super::usage::charged_since(api, scope, month).await?,
    })
}
