//! `/v1/organization/audit_logs`: who changed what.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, get, web};

use crate::api::auth::{Admin, ReadOrganization};
use crate::api::dto::{AuditLogList, AuditObject, ListObject};
use crate::api::errors::ApiError;
use crate::api::paging::{Page, unknown_after};
use crate::api::query::Query;
use crate::api::state::Api;
use crate::domain::audit::AuditKind;
use crate::domain::clock::UnixMillis;
use crate::store::{AuditQuery, StoreError};

/// List the audit log
#[utoipa::path(
    operation_id = "list-audit-logs",
    tag = "Administration",
    security(("adminBearer" = [])),
    params(
        ("after" = Option<String>, Query), ("limit" = Option<u32>, Query, minimum = 0, maximum = 100), ("order" = Option<String>, Query),
        ("event_types[]" = Option<Vec<String>>, Query, description = "Such as `api_key.created`. Without it: all but `video.…`, of which there are as many as jobs."),
        ("project_ids[]" = Option<Vec<String>>, Query),
        ("effective_at[gte]" = Option<u64>, Query, description = "Unix seconds; also `gt`, `lt`, `lte`."),
    ),
    responses((status = 200, description = "A page.", body = AuditLogList)),
)]
#[get("/v1/organization/audit_logs")]
pub(crate) async fn list_audit(
    admin: Admin<ReadOrganization>,
    request: HttpRequest,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let query = Query::of(&request)?;
    let page = Page::of(&query)?;
    let mut kinds = query.list("event_types").iter().map(|name| kind(name)).collect::<Result<Vec<_>, _>>()?;
    if kinds.is_empty() {
        // Jobs are far more than all else; who wants them names them.
        kinds.extend(AuditKind::ALL.iter().filter(|kind| !kind.is_about_a_job()));
    }
    let projects = query.list("project_ids");
    // A text that is no id names no project of anybody.
    let known: Vec<_> = projects.iter().filter_map(|id| id.parse().ok()).collect();
    if known.is_empty() && !projects.is_empty() {
        return Ok(HttpResponse::Ok().json(ListObject::new(Vec::new(), false, AuditObject::id)));
    }
    let second = Duration::from_secs(1);
    let after = |moment: Option<UnixMillis>| moment.map(|moment| moment.after(second));
    let wanted = AuditQuery {
        order: page.order,
        after: page.after,
        limit: page.limit,
        kinds,
        projects: known,
        from: query.time("effective_at[gte]")?.max(after(query.time("effective_at[gt]")?)),
        to: earlier(query.time("effective_at[lt]")?, after(query.time("effective_at[lte]")?)),
    };
    let log = match api.store.audit(Some(admin.organization()), wanted).await {
        Err(StoreError::NotFound) => return Err(unknown_after()),
        log => log?,
    };
    let data = log.entries.iter().map(AuditObject::new).collect();
    Ok(HttpResponse::Ok().json(ListObject::new(data, log.has_more, AuditObject::id)))
}

fn kind(name: &str) -> Result<AuditKind, ApiError> {
    let known = AuditKind::ALL.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ");
    let refused = || ApiError::invalid_value("event_types", format!("`event_types` takes {known}"));
    AuditKind::parse(name).ok_or_else(refused)
}

fn earlier(one: Option<UnixMillis>, other: Option<UnixMillis>) -> Option<UnixMillis> {
    one.into_iter().chain(other).min()
}
