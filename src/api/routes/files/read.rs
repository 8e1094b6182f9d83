//! Listing, reading and deleting files.

use actix_web::{HttpRequest, HttpResponse, delete, get, web};

use super::file_id;
use crate::api::auth::{Caller, ReadFiles, WriteFiles};
use crate::api::delivery::{Delivery, attachment};
use crate::api::dto::{Binary, DeletedFile, FileList, FileObject};
use crate::api::errors::ApiError;
use crate::api::paging::Page;
use crate::api::query::Query;
use crate::api::state::Api;
use crate::domain::clock::UnixMillis;
use crate::domain::file::FilePurpose;
use crate::store::{FilePage, FileQuery};

/// List files
#[utoipa::path(
    operation_id = "listFiles",
    tag = "Files",
    params(
        ("after" = Option<String>, Query, description = "The id of the last file of the page before."),
        ("limit" = Option<u32>, Query, minimum = 0, maximum = 100, description = "Files on a page; 20 by default."),
        ("order" = Option<String>, Query, description = "`desc` (default) or `asc`, by creation."),
        ("purpose" = Option<String>, Query, description = "Only files of this purpose."),
    ),
    responses((status = 200, description = "A page.", body = FileList)),
)]
#[get("/v1/files")]
pub(crate) async fn list_files(
    caller: Caller<ReadFiles>,
    request: HttpRequest,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let query = Query::of(&request)?;
    let Page { after, limit, order } = Page::of(&query)?;
    let purpose = query.text("purpose").map(|name| {
        let known = FilePurpose::ALL.map(FilePurpose::as_str).join(" or ");
        let refused = || ApiError::invalid_value("purpose", format!("`purpose` must be {known}"));
        FilePurpose::parse(name).ok_or_else(refused)
    });
    let query = FileQuery { order, after, limit, purpose: purpose.transpose()?, now: UnixMillis::default() };
    let FilePage { files, has_more } = api.jobs.files(caller.scope(), query).await?;
    Ok(HttpResponse::Ok().json(FileList::new(&files, has_more)))
}

/// Read a file's record
#[utoipa::path(
    operation_id = "retrieveFile",
    tag = "Files",
    params(("file_id" = String, Path, example = "file_0190f0c4a1b27c3c9d1e5b6f7a8b9c0d")),
    responses((status = 200, description = "The file.", body = FileObject)),
)]
#[get("/v1/files/{file_id}")]
pub(crate) async fn get_file(
    caller: Caller<ReadFiles>,
    id: web::Path<String>,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let file = api.jobs.file(caller.scope(), file_id(&id)?).await?;
    Ok(HttpResponse::Ok().json(FileObject::new(&file)))
}

/// Download a file
#[utoipa::path(
    operation_id = "downloadFile",
    tag = "Files",
    params(
        ("file_id" = String, Path, example = "file_0190f0c4a1b27c3c9d1e5b6f7a8b9c0d"),
        ("range" = Option<String>, Header, description = "One byte range.", example = "bytes=0-99"),
    ),
    responses(
        (status = 200, description = "The bytes.", body = Binary, content_type = "application/octet-stream"),
        (status = 206, description = "The part asked for.", body = Binary, content_type = "application/octet-stream"),
        (status = 304, description = "The client has it already."),
        (status = 416, description = "No such part."),
    ),
)]
#[get("/v1/files/{file_id}/content")]
pub(crate) async fn file_content(
    caller: Caller<ReadFiles>,
    request: HttpRequest,
    id: web::Path<String>,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let file = api.jobs.file(caller.scope(), file_id(&id)?).await?;
    let delivery = Delivery {
        bytes: file.bytes,
        sha256: &file.sha256,
        modified: file.created_at,
        expires_in: file.expires_at.since(api.clock.now()),
        content_type: &file.content_type,
        disposition: attachment(&file.filename),
    };
    let (mut response, part) = match delivery.answer(&request)? {
        Ok(send) => send,
        Err(unchanged) => return Ok(unchanged),
    };
    let sent = part.as_ref().map_or(file.bytes, |part| part.end - part.start);
    let chunks = api.jobs.read_file(&file, part).await?;
    Ok(response.body(actix_web::body::SizedStream::new(sent, chunks)))
}

/// Delete a file
///
/// Jobs that were made from it are not affected.
#[utoipa::path(
    operation_id = "deleteFile",
    tag = "Files",
    params(("file_id" = String, Path, example = "file_0190f0c4a1b27c3c9d1e5b6f7a8b9c0d")),
    responses((status = 200, description = "It is gone.", body = DeletedFile)),
)]
#[delete("/v1/files/{file_id}")]
pub(crate) async fn delete_file(
    caller: Caller<WriteFiles>,
    id: web::Path<String>,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let id = file_id(&id)?;
    api.jobs.delete_file(caller.scope(), id).await?;
    Ok(HttpResponse::Ok().json(DeletedFile { id: id.to_string(), object: "file", deleted: true }))
}
