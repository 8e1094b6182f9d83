//! Routes of the SDKs for what these models cannot do honestly: edits, extensions, characters.
//! They answer 400, because the SDKs repeat every 5xx.

use actix_web::{HttpResponse, get, post, web};

use crate::api::auth::{Caller, ReadVideos, WriteVideos};
use crate::api::errors::{ApiError, ErrorCode};

/// Edit a video (not supported)
#[utoipa::path(operation_id = "CreateVideoEdit", tag = "Videos", responses((status = 400, description = "Always.")))]
#[post("/v1/videos/edits")]
pub(crate) async fn edit_video(_: Caller<WriteVideos>) -> Result<HttpResponse, ApiError> {
    refuse("edits").await
}

/// Extend a video (not supported)
#[utoipa::path(operation_id = "CreateVideoExtend", tag = "Videos", responses((status = 400, description = "Always.")))]
#[post("/v1/videos/extensions")]
pub(crate) async fn extend_video(_: Caller<WriteVideos>) -> Result<HttpResponse, ApiError> {
    refuse("extensions").await
}

/// Make a character (not supported)
#[utoipa::path(operation_id = "CreateVideoCharacter", tag = "Videos", responses((status = 400, description = "Always.")))]
#[post("/v1/videos/characters")]
pub(crate) async fn create_character(_: Caller<WriteVideos>) -> Result<HttpResponse, ApiError> {
    refuse("characters").await
}

/// Read a character (not supported)
#[utoipa::path(operation_id = "GetVideoCharacter", tag = "Videos", params(("character_id" = String, Path)), responses((status = 400, description = "Always.")))]
#[get("/v1/videos/characters/{character_id}")]
pub(crate) async fn get_character(
    _: Caller<ReadVideos>,
    _: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    refuse("characters").await
}

async fn refuse(what: &str) -> Result<HttpResponse, ApiError> {
    std::future::ready(Err(ApiError::new(
        ErrorCode::OperationNotSupported,
        format!("the models of this server do not support {what}"),
    )))
    .await
}
