//! Downloads without a key: `GET /v1/videos/{video_id}/download_url` gives an address, and where the storage has none
//! of its own, `GET /download/…` is what it leads to.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, get, head, web};

use super::content::{send, variant};
use super::video_id;
use crate::api::auth::{Caller, ReadVideos};
use crate::api::dto::{Binary, DownloadUrlObject};
use crate::api::errors::{ApiError, ErrorCode};
use crate::api::link::{self, Target};
use crate::api::query::Query;
use crate::api::ratelimit::{RouteClass, too_many};
use crate::api::state::Api;
use crate::domain::asset::Variant;
use crate::domain::key::ProjectScope;

/// From a minute to the longest that a signed address of S3 may live.
const LIFE_SECONDS: std::ops::RangeInclusive<u64> = 60..=604_800;

/// Long enough to hand it on, short enough to be forgotten.
const DEFAULT_LIFE_SECONDS: u64 = 3600;

/// Get an address to download from
///
/// Whoever has it can download the file until then, without a key.
#[utoipa::path(
    operation_id = "getVideoDownloadUrl",
    tag = "Videos",
    params(
        ("video_id" = String, Path, example = "video_0190f0c4a1b27c3c9d1e5b6f7a8b9c0d"),
        ("variant" = Option<String>, Query, description = "`video` (default), `thumbnail` or `spritesheet`."),
        ("expires_in" = Option<u32>, Query, minimum = 60, maximum = 604800, description = "Seconds that it works, 3600 by default; never past the end of the file."),
    ),
    responses((status = 200, description = "The address.", body = DownloadUrlObject)),
)]
#[get("/v1/videos/{video_id}/download_url")]
pub(crate) async fn download_url(
    caller: Caller<ReadVideos>,
    request: HttpRequest,
    id: web::Path<String>,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let id = video_id(&request, &id)?;
    let query = Query::of(&request)?;
    let variant = variant(&query)?;
    let lives = query.integer("expires_in", LIFE_SECONDS)?.unwrap_or(DEFAULT_LIFE_SECONDS);
    let content = api.jobs.content(caller.scope(), id, variant).await?;
    let link = link::to(&api, &request, caller.scope(), id, &content, Duration::from_secs(lives)).await?;
    Ok(HttpResponse::Ok().json(DownloadUrlObject {
        object: "video.download_url",
        video_id: id.to_string(),
        variant: variant.as_str(),
        url: link.url,
        expires_at: link.expires_at.seconds(),
    }))
}

/// Download by a signed address
///
/// What `download_url` and redirects name where the storage gives no addresses. Needs no key.
#[utoipa::path(
    operation_id = "downloadSigned",
    tag = "Videos",
    security(()),
    params(
        ("organization" = String, Path), ("project" = String, Path), ("video" = String, Path), ("variant" = String, Path),
        ("expires" = u64, Query, description = "Unix seconds."),
        ("signature" = String, Query),
    ),
    responses(
        (status = 200, description = "The file.", content((Binary = "video/mp4"), (Binary = "image/webp"), (Binary = "image/jpeg"))),
        (status = 206, description = "The part asked for.", content((Binary = "video/mp4"), (Binary = "image/webp"), (Binary = "image/jpeg"))),
        (status = 304, description = "The client has it already."),
        (status = 404, description = "No such address, or not any more."),
        (status = 416, description = "No such part."),
        (status = 429, description = "The project's files are asked for too often."),
    ),
)]
#[get("/download/{organization}/{project}/{video}/{variant}")]
pub(crate) async fn download_signed(
    request: HttpRequest,
    path: web::Path<Named>,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    signed(&request, &path, &api).await
}

/// Ask about a file by a signed address
#[utoipa::path(
    operation_id = "headDownloadSigned",
    tag = "Videos",
    security(()),
    params(
        ("organization" = String, Path), ("project" = String, Path), ("video" = String, Path), ("variant" = String, Path),
        ("expires" = u64, Query, description = "Unix seconds."),
        ("signature" = String, Query),
    ),
    responses(
        (status = 200, description = "The headers of the file."),
        (status = 206, description = "The headers of the part asked for."),
        (status = 304, description = "The client has it already."),
        (status = 404, description = "No such address, or not any more."),
        (status = 416, description = "No such part."),
        (status = 429, description = "The project's files are asked for too often."),
    ),
)]
#[head("/download/{organization}/{project}/{video}/{variant}")]
pub(crate) async fn head_download_signed(
    request: HttpRequest,
    path: web::Path<Named>,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    signed(&request, &path, &api).await
}

/// Organisation, project, video and variant, as they stand in the path.
type Named = (String, String, String, String);

async fn signed(request: &HttpRequest, path: &Named, api: &web::Data<Api>) -> Result<HttpResponse, ApiError> {
    let query = Query::of(request)?;
    let target = target(path, query.text("expires"));
    let signed = target.filter(|target| {
        let signature = query.text("signature").unwrap_or_default();
        api.links.accepts(*target, signature) && api.clock.now().seconds() < target.expires
    });
    let gone = || ApiError::new(ErrorCode::ResourceNotFound, "the address is not valid, or not any more");
    let target = signed.ok_or_else(gone)?;
    let tenant = api.tenants.get(target.scope).await?;
    let standing = api.rates.take(RouteClass::Content, target.scope.project, &tenant.allowance);
    if tenant.closed.is_some() {
        return Err(gone());
    }
    if let Some(wait) = standing.requests.wait {
        return Err(too_many("the project's files are asked for too often", wait));
    }
    let content = api.jobs.content(target.scope, target.video, target.variant).await?;
    send(api, request, target.video, &content).await
}

fn target(path: &Named, expires: Option<&str>) -> Option<Target> {
    let (organization, project, video, variant) = path;
    let scope = ProjectScope { organization: organization.parse().ok()?, project: project.parse().ok()? };
    let variant = Variant::parse(variant)?;
    Some(Target { scope, video: video.parse().ok()?, variant, expires: expires?.parse().ok()? })
}
