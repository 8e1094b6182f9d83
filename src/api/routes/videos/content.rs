//! `GET /v1/videos/{video_id}/content`: the files of a completed job, whole or in part, straight from storage or
//! by an address that storage gives.

use std::time::Duration;

use actix_web::body::SizedStream;
use actix_web::http::header::{CACHE_CONTROL, LOCATION};
use actix_web::{HttpRequest, HttpResponse, get, head, web};
use futures_util::StreamExt;

use super::video_id;
use crate::api::auth::{Caller, ReadVideos};
use crate::api::delivery::{Delivery, attachment};
use crate::api::dto::Binary;
use crate::api::errors::{ApiError, ErrorResponse};
use crate::api::link;
use crate::api::query::Query;
use crate::api::state::{Api, ContentDelivery};
use crate::domain::asset::Variant;
use crate::domain::id::VideoId;
use crate::jobs::Content;

/// How long the address works that a redirect names: it is followed at once.
const REDIRECT_LIFE: Duration = Duration::from_secs(300);

/// Download a video
#[utoipa::path(
    operation_id = "RetrieveVideoContent",
    tag = "Videos",
    params(
        ("video_id" = String, Path, example = "video_0190f0c4a1b27c3c9d1e5b6f7a8b9c0d"),
        ("variant" = Option<String>, Query, description = "`video` (default), `thumbnail` or `spritesheet`."),
        ("redirect" = Option<bool>, Query, description = "Answer 302 with an address that needs no key, or the bytes. Default: as the server is set up."),
        ("range" = Option<String>, Header, description = "One byte range.", example = "bytes=0-99"),
        ("if-range" = Option<String>, Header, description = "The `etag` or `last-modified` that the range is of."),
        ("if-none-match" = Option<String>, Header, description = "Tags that the client has."),
        ("if-modified-since" = Option<String>, Header, description = "When the client got its copy."),
    ),
    responses(
        (status = 200, description = "The file.", content((Binary = "video/mp4"), (Binary = "image/webp"), (Binary = "image/jpeg"))),
        (status = 206, description = "The part asked for.", content((Binary = "video/mp4"), (Binary = "image/webp"), (Binary = "image/jpeg"))),
        (status = 302, description = "The file is there.", headers(("location" = String, description = "Works for five minutes, without a key."))),
        (status = 304, description = "The client has it already."),
        (status = 416, description = "No such part.", body = ErrorResponse),
    ),
)]
#[get("/v1/videos/{video_id}/content")]
pub(crate) async fn video_content(
    caller: Caller<ReadVideos>,
    request: HttpRequest,
    id: web::Path<String>,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    deliver(&caller, &request, &id, &api).await
}

/// Ask about a video's file
#[utoipa::path(
    operation_id = "headVideoContent",
    tag = "Videos",
    params(
        ("video_id" = String, Path, example = "video_0190f0c4a1b27c3c9d1e5b6f7a8b9c0d"),
        ("variant" = Option<String>, Query, description = "`video` (default), `thumbnail` or `spritesheet`."),
    ),
    responses(
        (status = 200, description = "The headers of the file."),
        (status = 206, description = "The headers of the part asked for."),
        (status = 302, description = "The file is there.", headers(("location" = String, description = "Works for five minutes, without a key."))),
        (status = 304, description = "The client has it already."),
        (status = 416, description = "No such part."),
    ),
)]
#[head("/v1/videos/{video_id}/content")]
pub(crate) async fn head_video_content(
    caller: Caller<ReadVideos>,
    request: HttpRequest,
    id: web::Path<String>,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    deliver(&caller, &request, &id, &api).await
}

async fn deliver(
    caller: &Caller<ReadVideos>,
    request: &HttpRequest,
    id: &str,
    api: &web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let id = video_id(request, id)?;
    let query = Query::of(request)?;
    let variant = variant(&query)?;
    let redirect = query.boolean("redirect")?.unwrap_or(api.delivery == ContentDelivery::Redirect);
    let content = api.jobs.content(caller.scope(), id, variant).await?;
    if redirect {
        let link = link::to(api, request, caller.scope(), id, &content, REDIRECT_LIFE).await?;
        return Ok(HttpResponse::Found()
            .insert_header((LOCATION, link.url))
            .insert_header((CACHE_CONTROL, "no-store"))
            .finish());
    }
    send(api, request, id, &content).await
}

/// The file's bytes, or those of them that the request is about.
pub(super) async fn send(
    api: &web::Data<Api>,
    request: &HttpRequest,
    id: VideoId,
    content: &Content,
) -> Result<HttpResponse, ApiError> {
    let variant = content.asset.variant;
    let length = content.asset.bytes;
    let delivery = Delivery {
        bytes: length,
        sha256: &content.asset.sha256,
        modified: content.completed_at,
        expires_in: content.expires_at.since(api.clock.now()),
        content_type: variant.content_type(),
        disposition: disposition(id, variant),
    };
    let (mut response, part) = match delivery.answer(request)? {
        Ok(send) => send,
        Err(unchanged) => return Ok(unchanged),
    };
    let sent = part.as_ref().map_or(length, |part| part.end - part.start);
    let counting = api.clone().into_inner();
    let chunks = api.jobs.read(content, part).await?.inspect(move |chunk| {
        if let Ok(chunk) = chunk {
            counting.metrics.content_served_bytes_total.add([variant.as_str()], chunk.len() as f64);
        }
    });
    Ok(response.body(SizedStream::new(sent, chunks)))
}

/// How the file is offered for saving.
pub(in crate::api) fn disposition(id: VideoId, variant: Variant) -> String {
    attachment(&format!("{id}.{}", variant.extension()))
}

pub(super) fn variant(query: &Query) -> Result<Variant, ApiError> {
    let name = query.text("variant").unwrap_or(Variant::Video.as_str());
    let message = "`variant` must be video, thumbnail or spritesheet";
    Variant::parse(name).ok_or_else(|| ApiError::invalid_value("variant", message))
}
