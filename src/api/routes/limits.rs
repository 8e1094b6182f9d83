//! `/v1/limits`: what the project may do, and how much of it is in use.

use actix_web::{HttpResponse, get, web};

use crate::api::auth::{AnyKey, Caller};
use crate::api::dto::{LimitUsage, LimitsObject, RateLimitObject};
use crate::api::errors::ApiError;
use crate::api::state::Api;
use crate::store::Owner;

/// Read the limits of the project
#[utoipa::path(operation_id = "getLimits", tag = "Limits", responses((status = 200, description = "Limits and use.", body = LimitsObject)))]
#[get("/v1/limits")]
pub(crate) async fn get_limits(
    caller: Caller<AnyKey>,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let tenant = caller.tenant();
    let mut data = vec![RateLimitObject::new(None, &tenant.allowance)];
    for model in api.catalog.models() {
        let allowance = tenant.models.get(&model.id).copied().unwrap_or_default();
        data.push(RateLimitObject::new(Some(&model.id), &allowance));
    }
    let tally = api.jobs.tally(Owner::Project(caller.scope().project)).await?;
    let seconds = |millis: u64| millis as f64 / 1000.0;
    let usage = LimitUsage {
        active_jobs: tally.active,
        running_jobs: tally.running,
        gpu_seconds_day: seconds(tally.day_ms),
        gpu_seconds_month: seconds(tally.month_ms),
        gpu_seconds_reserved: seconds(tally.reserved_ms),
    };
    Ok(HttpResponse::Ok().json(LimitsObject { object: "limits", data, usage }))
}
