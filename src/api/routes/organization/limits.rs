//! `/v1/organization/projects/{project}/rate_limits…`: what a project may do, set by its administrators.

use std::num::NonZeroU32;

use actix_web::{HttpRequest, HttpResponse, get, post, web};

use super::{missing, note, open_project, project};
use crate::api::auth::{Admin, ReadOrganization, WriteOrganization};
use crate::api::body::{self, Accepts, Fields, Limits};
use crate::api::dto::{ListObject, RateLimitBody, RateLimitList, RateLimitObject};
use crate::api::errors::ApiError;
use crate::api::paging::cut_behind;
use crate::api::query::Query;
use crate::api::state::Api;
use crate::domain::audit::AuditKind;
use crate::domain::limits::{Cap, Caps};
use crate::domain::model::ModelId;
use crate::store::together;

/// What OpenAI's objects have and nothing here is measured by.
const WITHOUT_MEANING: [&str; 4] = [
    "max_tokens_per_1_minute",
    "max_images_per_1_minute",
    "max_audio_megabytes_per_1_minute",
    "batch_1_day_max_input_tokens",
];

/// What holds for all models together only.
const OF_THE_PROJECT: [&str; 3] =
    ["max_read_requests_per_1_minute", "max_content_requests_per_1_minute", "max_running_jobs"];

/// List the limits of a project
#[utoipa::path(operation_id = "list-project-rate-limits", tag = "Administration", security(("adminBearer" = [])), params(("project_id" = String, Path), ("after" = Option<String>, Query), ("limit" = Option<u32>, Query, minimum = 0, maximum = 100)), responses((status = 200, description = "Those of all models together, then of each model.", body = RateLimitList)))]
#[get("/v1/organization/projects/{project_id}/rate_limits")]
pub(crate) async fn list_rate_limits(
    admin: Admin<ReadOrganization>,
    request: HttpRequest,
    id: web::Path<String>,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let query = Query::of(&request)?;
    let limit = query.integer("limit", 0..=100)?.unwrap_or(100) as u32;
    let project = project(&api, &admin, &id).await?;
    let (all, models) = api.tenants.limits(project.id).await?;
    let mut objects = vec![RateLimitObject::new(None, &all)];
    for model in api.catalog.models() {
        let allowance = models.get(&model.id).copied().unwrap_or_default();
        objects.push(RateLimitObject::new(Some(&model.id), &allowance));
    }
    let after = query.text("after").map(str::to_owned);
    let (data, has_more) = cut_behind(objects, after.as_ref(), limit, RateLimitObject::id)?;
    Ok(HttpResponse::Ok().json(ListObject::new(data, has_more, RateLimitObject::id)))
}

/// Set limits of a project
///
/// They hold within seconds. Null lifts a limit; what is absent stays.
#[utoipa::path(operation_id = "update-project-rate-limits", tag = "Administration", security(("adminBearer" = [])), params(("project_id" = String, Path), ("rate_limit_id" = String, Path, example = "rl_default")), request_body(content = RateLimitBody, content_type = "application/json", example = json!({"max_requests_per_1_minute": 5, "max_active_jobs": null})), responses((status = 200, description = "The limits as they are now.", body = RateLimitObject)))]
#[post("/v1/organization/projects/{project_id}/rate_limits/{rate_limit_id}")]
pub(crate) async fn update_rate_limit(
    admin: Admin<WriteOrganization>,
    request: HttpRequest,
    path: web::Path<(String, String)>,
    payload: web::Payload,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let (project_id, limit_id) = path.into_inner();
    let mut fields = body::read(&request, payload, Accepts::Json, Limits::PLAIN).await?;
    let project = open_project(&api, &admin, &project_id).await?;
    let model = model(&api, &limit_id)?;
    fields.refuse(&WITHOUT_MEANING, "nothing here is measured by it")?;
    if model.is_some() {
        fields.refuse(&OF_THE_PROJECT, "it holds for all models together: set it on rl_default")?;
    }
    let changes = take_caps(&mut fields)?;
    fields.finish()?;
    let (now, object) = together(&*api.store, async {
        let now = api.tenants.set_limit(project.id, model.clone(), changes).await?;
        let object = RateLimitObject::new(model.as_ref(), &now);
        let detail = serde_json::to_string(&object).ok();
        note(&api, &admin, Some(project.id), AuditKind::RateLimitUpdated, limit_id, detail).await?;
        Ok::<_, ApiError>((now, object))
    })
    .await?;
    if model.is_none() {
        api.jobs.limit_running(project.id, now.running_jobs.map(NonZeroU32::get));
    }
    Ok(HttpResponse::Ok().json(object))
}

/// The model that the limits are of; `None` is all together.
fn model(api: &Api, id: &str) -> Result<Option<ModelId>, ApiError> {
    if id == RateLimitObject::id_of(None) {
        return Ok(None);
    }
    let mut models = api.catalog.models().iter().map(|model| &model.id);
    models.find(|model| RateLimitObject::id_of(Some(model)) == id).cloned().map(Some).ok_or_else(missing)
}

fn take_caps(fields: &mut Fields) -> Result<Caps, ApiError> {
    Ok(Caps {
        creates_per_minute: take(fields, "max_requests_per_1_minute")?,
        creates_per_day: take(fields, "max_requests_per_1_day")?,
        reads_per_minute: take(fields, "max_read_requests_per_1_minute")?,
        content_per_minute: take(fields, "max_content_requests_per_1_minute")?,
        active_jobs: take(fields, "max_active_jobs")?,
        running_jobs: take(fields, "max_running_jobs")?,
        gpu_seconds_per_day: take(fields, "max_gpu_seconds_per_1_day")?,
        gpu_seconds_per_month: take(fields, "max_gpu_seconds_per_1_month")?,
    })
}

fn take(fields: &mut Fields, name: &str) -> Result<Option<Cap>, ApiError> {
    if fields.is_null(name) {
        return Ok(Some(Cap::Unlimited));
    }
    let Some(number) = fields.integer(name)? else { return Ok(None) };
    let number = u32::try_from(number).ok().and_then(NonZeroU32::new);
    let message = format!("`{name}` must be an integer from 1 to {}, or null", u32::MAX);
    number.map(|number| Some(Cap::At(number))).ok_or_else(|| ApiError::invalid_value(name, message))
}
