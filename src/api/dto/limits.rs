//! Limits and their use.

use std::num::NonZeroU32;

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::limits::Allowance;
use crate::domain::model::ModelId;

/// The limits of the project.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LimitsObject {
    #[schema(value_type = String, pattern = "^limits$", example = "limits")]
    pub(crate) object: &'static str,
    pub(crate) data: Vec<RateLimitObject>,
    pub(crate) usage: LimitUsage,
}

/// What is in use.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LimitUsage {
    pub(crate) active_jobs: u32,
    pub(crate) running_jobs: u32,
    /// Charged since the start of the day (UTC).
    pub(crate) gpu_seconds_day: f64,
    /// Charged since the start of the month (UTC).
    pub(crate) gpu_seconds_month: f64,
    /// Promised to jobs that have not ended; counted against both limits.
    pub(crate) gpu_seconds_reserved: f64,
}

/// The limits of one model, or of all together with `*`; null is unlimited.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RateLimit)]
pub(crate) struct RateLimitObject {
    /// `rl_default`, or `rl_` and the model.
    #[schema(example = "rl_default")]
    id: String,
    #[schema(value_type = String, pattern = "^project.rate_limit$", example = "project.rate_limit")]
    object: &'static str,
    #[schema(example = "*")]
    model: String,
    #[schema(required)]
    max_requests_per_1_minute: Option<u32>,
    #[schema(required)]
    max_requests_per_1_day: Option<u32>,
    /// There are no tokens here; always 0.
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
    max_gpu_seconds_per_1_day: Option<u32>,
    #[schema(required)]
    max_gpu_seconds_per_1_month: Option<u32>,
}

/// Limits to set: null lifts one, an absent one stays.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the documented form of a body that `body` decodes")]
pub(crate) struct RateLimitBody {
    #[schema(minimum = 1, example = 5)]
    max_requests_per_1_minute: Option<u32>,
    #[schema(minimum = 1)]
    max_requests_per_1_day: Option<u32>,
    /// Only of `rl_default`.
    #[schema(minimum = 1)]
    max_read_requests_per_1_minute: Option<u32>,
    /// Only of `rl_default`.
    #[schema(minimum = 1)]
    max_content_requests_per_1_minute: Option<u32>,
    #[schema(minimum = 1)]
    max_active_jobs: Option<u32>,
    /// Only of `rl_default`.
    #[schema(minimum = 1)]
    max_running_jobs: Option<u32>,
    #[schema(minimum = 1)]
    max_gpu_seconds_per_1_day: Option<u32>,
    #[schema(minimum = 1)]
    max_gpu_seconds_per_1_month: Option<u32>,
}

/// A page of limits.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the documented form of a generic list")]
pub(crate) struct RateLimitList {
    object: String,
    data: Vec<RateLimitObject>,
    #[schema(required)]
    first_id: Option<String>,
    #[schema(required)]
    last_id: Option<String>,
    has_more: bool,
}

impl RateLimitObject {
    /// Of one model, or of all.
    pub(crate) fn new(model: Option<&ModelId>, allowance: &Allowance) -> Self {
        let number = |limit: Option<NonZeroU32>| limit.map(NonZeroU32::get);
        Self {
            id: Self::id_of(model),
            object: "project.rate_limit",
            model: model.map_or_else(|| "*".to_owned(), ToString::to_string),
            max_requests_per_1_minute: number(allowance.creates_per_minute),
            max_requests_per_1_day: number(allowance.creates_per_day),
            max_tokens_per_1_minute: 0,
            max_images_per_1_minute: None,
            max_audio_megabytes_per_1_minute: None,
            batch_1_day_max_input_tokens: None,
            max_read_requests_per_1_minute: number(allowance.reads_per_minute),
            max_content_requests_per_1_minute: number(allowance.content_per_minute),
            max_active_jobs: number(allowance.active_jobs),
            max_running_jobs: number(allowance.running_jobs),
            max_gpu_seconds_per_1_day: number(allowance.gpu_seconds_per_day),
            max_gpu_seconds_per_1_month: number(allowance.gpu_seconds_per_month),
        }
    }

    /// What the limits of a model are called.
    pub(crate) fn id_of(model: Option<&ModelId>) -> String {
        format!("rl_{}", model.map_or("default", ModelId::as_str))
    }

    /// As a list names it.
    pub(crate) fn id(&self) -> String {
        self.id.clone()
    }
}
