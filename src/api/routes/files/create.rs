//! `POST /v1/files`: a file in a form, checked before it is kept.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, post, web};

use crate::api::auth::{Caller, WriteFiles};
use crate::api::body::{self, Accepts, Fields, Limits, Upload, UploadChunks};
use crate::api::dto::{CreateFileBody, FileObject};
use crate::api::errors::{ApiError, ErrorCode};
use crate::api::picture;
use crate::api::replay;
use crate::api::state::Api;
use crate::domain::file::{FilePurpose, shown_name};
use crate::domain::key::ProjectScope;
use crate::jobs::NewFile;

/// The largest file that is not a picture.
const MAX_FILE_BYTES: u64 = 100 << 20;

/// What nobody asked to keep longer is gone in a day.
const DEFAULT_LIFE_SECONDS: i64 = 86_400;

/// An hour to thirty days.
const LIFE_SECONDS: std::ops::RangeInclusive<i64> = 3_600..=2_592_000;

/// Upload a file
///
/// Its id can stand wherever a picture is wanted, until it expires.
#[utoipa::path(
    operation_id = "createFile",
    tag = "Files",
    request_body(content((CreateFileBody = "multipart/form-data"))),
    responses((status = 200, description = "The file.", body = FileObject)),
)]
#[post("/v1/files")]
pub(crate) async fn create_file(
    caller: Caller<WriteFiles>,
    request: HttpRequest,
    payload: web::Payload,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let fields = body::read(&request, payload, Accepts::Multipart, Limits::FILE).await?;
    let fingerprint = fields.fingerprint();
    replay::once(&api, &request, caller.identity(), &fingerprint, keep(&api, caller.scope(), fields)).await
}

async fn keep(api: &Api, scope: ProjectScope, mut fields: Fields) -> Result<FileObject, ApiError> {
    let upload = fields.file("file")?.ok_or_else(|| missing("file"))?;
    let purpose = purpose(fields.text("purpose")?)?;
    let lives = lives(&mut fields)?;
    fields.finish()?;
    let (filename, bytes) = (shown_name(upload.name()), upload.bytes());
    let (content_type, chunks) = check(api, purpose, upload).await.map_err(|error| error.about("file"))?;
    let content_type = content_type.to_owned();
    let new = NewFile { filename, purpose, content_type, bytes, chunks, lives };
    Ok(FileObject::new(&api.jobs.add_file(scope, new).await?))
}

/// What the file is, and its bytes. Whatever begins like a picture must be a good one.
async fn check(
    api: &Api,
    purpose: FilePurpose,
    upload: Upload,
) -> Result<(&'static str, UploadChunks), ApiError> {
    if purpose == FilePurpose::Vision || picture::looks_like_one(upload.head()) {
        let bytes = picture::whole(upload).await?;
        let (_, content_type) = picture::judge(api, &bytes).await?;
        return Ok((content_type, Box::pin(futures_util::stream::iter([Ok(bytes)]))));
    }
    if upload.bytes() == 0 {
        return Err(ApiError::new(ErrorCode::InvalidValue, "the file is empty"));
    }
    if upload.bytes() > MAX_FILE_BYTES {
        let message = format!("the file has more than {MAX_FILE_BYTES} bytes");
        return Err(ApiError::new(ErrorCode::RequestTooLarge, message));
    }
    let chunks = upload.chunks().await.map_err(|error| ApiError::internal(&error))?;
    Ok(("application/octet-stream", chunks))
}

fn purpose(name: Option<String>) -> Result<FilePurpose, ApiError> {
    let name = name.ok_or_else(|| missing("purpose"))?;
    let known = FilePurpose::ALL.map(FilePurpose::as_str).join(" or ");
    FilePurpose::parse(&name)
        .ok_or_else(|| ApiError::invalid_value("purpose", format!("`purpose` must be {known}")))
}

fn lives(fields: &mut Fields) -> Result<Duration, ApiError> {
    let Some(mut after) = fields.texts("expires_after")? else {
        return Ok(Duration::from_secs(DEFAULT_LIFE_SECONDS as u64));
    };
    let (anchor, seconds) = (after.remove("anchor"), after.remove("seconds"));
    if let Some(unknown) = after.into_keys().next() {
        let name = format!("expires_after.{unknown}");
        let message = format!("unknown parameter: `{name}`");
        return Err(ApiError::new(ErrorCode::UnknownParameter, message).about(name));
    }
    if anchor.ok_or_else(|| missing("expires_after.anchor"))? != "created_at" {
        let message = "`expires_after.anchor` must be created_at";
        return Err(ApiError::invalid_value("expires_after.anchor", message));
    }
    let seconds = seconds.ok_or_else(|| missing("expires_after.seconds"))?;
    let within = seconds.parse().ok().filter(|seconds| LIFE_SECONDS.contains(seconds));
    let seconds: i64 = within.ok_or_else(|| {
        let (least, most) = (LIFE_SECONDS.start(), LIFE_SECONDS.end());
        let message = format!("`expires_after.seconds` must be an integer from {least} to {most}");
        ApiError::invalid_value("expires_after.seconds", message)
    })?;
    Ok(Duration::from_secs(seconds as u64))
}

fn missing(name: &str) -> ApiError {
    ApiError::new(ErrorCode::MissingRequiredParameter, format!("`{name}` is required")).about(name)
}
