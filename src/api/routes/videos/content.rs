//! `GET /v1/videos/{video_id}/content`: the files of a completed job, whole or in part, straight from storage.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_web::body::SizedStream;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_RANGE, CONTENT_TYPE, ETAG, HttpDate,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, RANGE,
};
use actix_web::{HttpRequest, HttpResponse, get, head, web};
use futures_util::StreamExt;

use super::video_id;
use crate::api::auth::{Caller, ReadVideos};
use crate::api::errors::{ApiError, ErrorCode, ErrorResponse};
use crate::api::query::Query;
use crate::api::range::{Wanted, matches_tag, wanted};
use crate::api::state::Api;
use crate::domain::asset::Variant;

/// A cache need not keep a private file longer than this.
const LONGEST_MAX_AGE: Duration = Duration::from_secs(3600);

/// Download a video
#[utoipa::path(
    operation_id = "RetrieveVideoContent",
    tag = "Videos",
    params(
        ("video_id" = String, Path, example = "video_0190f0c4a1b27c3c9d1e5b6f7a8b9c0d"),
        ("variant" = Option<String>, Query, description = "`video` (default), `thumbnail` or `spritesheet`."),
        ("range" = Option<String>, Header, description = "One byte range.", example = "bytes=0-99"),
        ("if-range" = Option<String>, Header, description = "The `etag` or `last-modified` that the range is of."),
        ("if-none-match" = Option<String>, Header, description = "Tags that the client has."),
        ("if-modified-since" = Option<String>, Header, description = "When the client got its copy."),
    ),
    responses(
        (status = 200, description = "The file.", body = Vec<u8>, content_type = "video/mp4", headers(
            ("content-length" = u64),
            ("etag" = String, description = "The file's SHA-256, quoted."),
            ("accept-ranges" = String), ("content-disposition" = String), ("last-modified" = String), ("cache-control" = String),
        )),
        (status = 206, description = "The part asked for.", body = Vec<u8>, content_type = "video/mp4", headers(
            ("etag" = String, description = "The file's SHA-256, quoted."),
            ("content-range" = String, description = "Which bytes of how many."), ("content-disposition" = String),
            ("accept-ranges" = String), ("last-modified" = String), ("cache-control" = String),
        )),
        (status = 304, description = "The client has it already.", headers(("etag" = String), ("cache-control" = String))),
        (status = 416, description = "No such part.", body = ErrorResponse, headers(("content-range" = String, description = "`bytes */` and the length."))),
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
        (status = 200, description = "The headers of the file.", headers(
            ("content-length" = u64), ("content-type" = String),
            ("etag" = String, description = "The file's SHA-256, quoted."),
            ("accept-ranges" = String), ("content-disposition" = String), ("last-modified" = String), ("cache-control" = String),
        )),
        (status = 206, description = "The headers of the part asked for.", headers(("content-range" = String))),
        (status = 304, description = "The client has it already."),
        (status = 416, description = "No such part.", headers(("content-range" = String))),
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
    let variant = variant(request)?;
    let content = api.jobs.content(caller.scope(), id, variant).await?;
    let length = content.asset.bytes;
    let tag = format!("\"{}\"", content.asset.sha256);
    let modified = UNIX_EPOCH + Duration::from_secs(content.completed_at.seconds());
    let mut response = HttpResponse::Ok();
    let max_age = content.expires_at.since(api.clock.now()).min(LONGEST_MAX_AGE).as_secs();
    response
        .insert_header((CONTENT_TYPE, variant.content_type()))
        .insert_header((ETAG, tag.as_str()))
        .insert_header((ACCEPT_RANGES, "bytes"))
        .insert_header((LAST_MODIFIED, HttpDate::from(modified).to_string()))
        .insert_header((
            CONTENT_DISPOSITION,
            format!("attachment; filename=\"{id}.{}\"", variant.extension()),
        ))
        .insert_header((CACHE_CONTROL, format!("private, max-age={max_age}, immutable")));
    if unchanged(request, &tag, modified) {
        return Ok(response.status(StatusCode::NOT_MODIFIED).finish());
    }
    let range = header(request, &RANGE).filter(|_| may_be_partial(request, &tag, modified));
    let part = match wanted(range, length) {
        Wanted::Whole => None,
        Wanted::Part(part) => {
            let range = format!("bytes {}-{}/{length}", part.start, part.end - 1);
            response.status(StatusCode::PARTIAL_CONTENT).insert_header((CONTENT_RANGE, range));
            Some(part)
        }
        Wanted::Unsatisfiable => {
            return Err(ApiError::new(ErrorCode::RangeNotSatisfiable, "the file has no such bytes")
                .with_header(CONTENT_RANGE, format!("bytes */{length}")));
        }
    };
    let sent = part.as_ref().map_or(length, |part| part.end - part.start);
    let counting = api.clone().into_inner();
    let chunks = api.jobs.read(&content, part).await?.inspect(move |chunk| {
        if let Ok(chunk) = chunk {
            counting.metrics.content_served_bytes_total.add([variant.as_str()], chunk.len() as f64);
        }
    });
    Ok(response.body(SizedStream::new(sent, chunks)))
}

fn variant(request: &HttpRequest) -> Result<Variant, ApiError> {
    let query = Query::of(request)?;
    let name = query.text("variant").unwrap_or(Variant::Video.as_str());
    let message = "`variant` must be video, thumbnail or spritesheet";
    Variant::parse(name).ok_or_else(|| ApiError::invalid_value("variant", message))
}

fn unchanged(request: &HttpRequest, tag: &str, modified: SystemTime) -> bool {
    match header(request, &IF_NONE_MATCH) {
        Some(tags) => matches_tag(tags, tag),
        None => date(request, &IF_MODIFIED_SINCE).is_some_and(|since| modified <= since),
    }
}

/// `If-Range` allows a part only of the file that the client knows.
fn may_be_partial(request: &HttpRequest, tag: &str, modified: SystemTime) -> bool {
    match header(request, &IF_RANGE) {
        None => true,
        Some(known) => known == tag || date(request, &IF_RANGE) == Some(modified),
    }
}

fn header<'a>(request: &'a HttpRequest, name: &actix_web::http::header::HeaderName) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

fn date(request: &HttpRequest, name: &actix_web::http::header::HeaderName) -> Option<SystemTime> {
    header(request, name)?.parse::<HttpDate>().ok().map(SystemTime::from)
}
