//! `POST /v1/videos/{video_id}/cancel`: at once while queued, at the next step while running.

use actix_web::{HttpRequest, HttpResponse, post, web};

use super::answer::answer;
use super::video_id;
use crate::api::auth::{Caller, WriteVideos};
use crate::api::dto::VideoObject;
use crate::api::errors::ApiError;
use crate::api::state::Api;
use crate::api::wait::Wait;

/// Cancel a video
#[utoipa::path(
    operation_id = "cancelVideo",
    tag = "Videos",
    params(("video_id" = String, Path, example = "video_0190f0c4a1b27c3c9d1e5b6f7a8b9c0d")),
    responses((status = 200, description = "The job; a running one stops at its next step.", body = VideoObject)),
)]
#[post("/v1/videos/{video_id}/cancel")]
pub(crate) async fn cancel_video(
    caller: Caller<WriteVideos>,
    request: HttpRequest,
    id: web::Path<String>,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let view = api.jobs.cancel(caller.scope(), video_id(&request, &id)?, caller.actor()).await?;
    Ok(answer(&view, Wait::default()))
}
