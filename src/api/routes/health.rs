//! Whether the process lives, whether it can work, and its measurements. No project, no limits, no log.

use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, CONTENT_TYPE};
use actix_web::{HttpRequest, HttpResponse, get, web};
use serde::Serialize;
use subtle::ConstantTimeEq;
use utoipa::ToSchema;

use crate::api::errors::{ApiError, ErrorCode, ErrorResponse};
use crate::api::state::Api;
use crate::domain::id::ProjectId;
use crate::metrics;
use crate::store::Owner;

/// The process serves.
#[derive(Serialize, ToSchema)]
struct Health {
    #[schema(value_type = String, example = "ok")]
    status: &'static str,
}

/// Whether a job accepted now would be worked on.
#[derive(Serialize, ToSchema)]
struct ReadyObject {
    /// `ready` or `not_ready`.
    #[schema(value_type = String, example = "ready")]
    status: &'static str,
    checks: Checks,
    /// Why it is not ready: `database`, `storage`, `no_ready_worker`, `draining`. Absent if it is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Option<Vec<String>>)]
    reasons: Vec<&'static str>,
}

/// `ok`, or what is wrong.
#[derive(Serialize, ToSchema)]
struct Checks {
    /// `ok` or `failed`.
    #[schema(value_type = String, example = "ok")]
    database: &'static str,
    /// `ok`, `down`, `slow`, `full`, `refused` or `failed`.
    #[schema(value_type = String, example = "ok")]
    storage: &'static str,
    gpu_workers: WorkerCounts,
}

/// Workers of any device.
#[derive(Serialize, ToSchema)]
struct WorkerCounts {
    ready: usize,
    total: usize,
}

/// Is the process alive
#[utoipa::path(operation_id = "getHealth", tag = "Health", security(()), responses((status = 200, description = "It is.", body = Health)))]
#[get("/healthz")]
pub(crate) async fn healthz() -> HttpResponse {
    std::future::ready(HttpResponse::Ok().json(Health { status: "ok" })).await
}

/// Can it work
#[utoipa::path(
    operation_id = "getReadiness",
    tag = "Health",
    security(()),
    responses(
        (status = 200, description = "It can.", body = ReadyObject),
        (status = 503, description = "It cannot.", body = ReadyObject),
    ),
)]
#[get("/readyz")]
pub(crate) async fn readyz(api: web::Data<Api>) -> HttpResponse {
    let readiness = (api.readiness)().await;
    let word = |good: bool| if good { "ok" } else { "failed" };
    let ready = readiness.obstacles().is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    HttpResponse::build(status).json(ReadyObject {
        status: if ready { "ready" } else { "not_ready" },
        checks: Checks {
            database: word(readiness.database),
            storage: readiness.storage.err().unwrap_or("ok"),
            gpu_workers: WorkerCounts { ready: readiness.workers_ready, total: readiness.workers_total },
        },
        reasons: readiness.obstacles(),
    })
}

/// Measurements for Prometheus
#[utoipa::path(
    operation_id = "getMetrics",
    tag = "Health",
    security(("metricsToken" = []), ()),
    responses(
        (status = 200, description = "Text format 0.0.4.", body = String, content_type = "text/plain"),
        (status = 401, description = "The server has a token for it, and this is another.", body = ErrorResponse),
    ),
)]
#[get("/metrics")]
pub(crate) async fn metrics_page(
    request: HttpRequest,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    if let Some(token) = &api.metrics_token {
        let header = request.headers().get(AUTHORIZATION).map(|value| value.as_bytes().to_vec());
        let given = header.unwrap_or_default();
        if !bool::from(given.ct_eq(format!("Bearer {token}").as_bytes())) {
            let message = "metrics need the token of the setting metrics.token";
            return Err(ApiError::new(ErrorCode::InvalidApiKey, message));
        }
    }
    gauge_projects(&api).await;
    Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, metrics::CONTENT_TYPE)).body(api.metrics.text()))
}

/// Brings what the store counts for projects up to date. One that the store does not answer for keeps its numbers.
async fn gauge_projects(api: &Api) {
    for label in api.metrics.projects() {
        // A request of an administrator is counted under its organization.
        let Ok(project) = label.parse::<ProjectId>() else { continue };
        let known = api.jobs.tally(Owner::Project(project)).await;
        let (Ok(tally), Ok((allowance, _))) = (known, api.tenants.limits(project).await) else { continue };
        api.metrics.project_active_jobs.set([&label], f64::from(tally.active));
        for (window, quota, used_ms) in [
            ("day", allowance.gpu_seconds_per_day, tally.day_ms),
            ("month", allowance.gpu_seconds_per_month, tally.month_ms),
        ] {
            api.metrics.project_gpu_used_seconds.set([&label, window], used_ms as f64 / 1000.0);
            match quota {
                Some(quota) => {
                    api.metrics.project_gpu_quota_seconds.set([&label, window], f64::from(quota.get()));
                }
                None => api.metrics.project_gpu_quota_seconds.remove([&label, window]),
            }
        }
    }
}
