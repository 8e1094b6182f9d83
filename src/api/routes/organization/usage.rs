//! `/v1/organization/usage/videos`: what the jobs of all projects cost.

use actix_web::{HttpRequest, HttpResponse, get, web};

use crate::api::auth::{Admin, ReadOrganization};
use crate::api::dto::UsagePage;
use crate::api::errors::ApiError;
use crate::api::routes::usage;
use crate::api::state::Api;

/// Read the organization's usage
#[utoipa::path(
    operation_id = "usage-videos",
    tag = "Administration",
    security(("adminBearer" = [])),
    params(
        ("start_time" = u64, Query, description = "Unix seconds, inclusive."),
        ("end_time" = Option<u64>, Query, description = "Unix seconds, exclusive; default: now."),
        ("bucket_width" = Option<String>, Query, description = "`1d` (default), `1h` or `1m`."),
        ("limit" = Option<u32>, Query, description = "Buckets on a page."),
        ("page" = Option<String>, Query, description = "`next_page` of the page before."),
        ("group_by" = Option<Vec<String>>, Query, description = "`project_id`, `api_key_id`, `model`, `size`, `operation`."),
        ("project_ids" = Option<Vec<String>>, Query),
        ("models" = Option<Vec<String>>, Query),
        ("api_key_ids" = Option<Vec<String>>, Query),
        ("format" = Option<String>, Query, description = "`json` (default) or `csv`; then `x-next-page` says where to go on."),
    ),
    responses((status = 200, description = "A page of buckets.", content((UsagePage = "application/json"), (String = "text/csv")))),
)]
#[get("/v1/organization/usage/videos")]
pub(crate) async fn get_organization_usage(
    admin: Admin<ReadOrganization>,
    request: HttpRequest,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    usage::answer(&api, &request, admin.organization(), None).await
}
