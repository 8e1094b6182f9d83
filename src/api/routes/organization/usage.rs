//! `/v1/organization/usage/videos`: what the jobs of all projects cost.

use actix_web::{HttpRequest, HttpResponse, get, web};

use crate::api::auth::{Admin, ReadOrganization};
use crate::api::dto::{UsagePage, UsageParameters};
use crate::api::errors::ApiError;
use crate::api::routes::usage;
use crate::api::state::Api;

/// Read the organization's usage
#[utoipa::path(
    operation_id = "usage-videos",
    tag = "Administration",
    security(("adminBearer" = [])),
    params(UsageParameters),
    responses((status = 200, description = "A page of buckets.", content((UsagePage = "application/json"), (String = "text/csv")), headers(
        ("content-disposition" = Option<String>, description = "A name to save the table under."),
        ("x-next-page" = Option<String>, description = "`page` of the table's next page."),
    ))),
)]
#[get("/v1/organization/usage/videos")]
pub(crate) async fn get_organization_usage(
    admin: Admin<ReadOrganization>,
    request: HttpRequest,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    usage::answer(&api, &request, admin.organization(), None).await
}
