//! `GET /v1/videos/{video_id}`: the job, now or once it is over.

use actix_web::{HttpRequest, HttpResponse, get, web};

use super::answer::{answer, settled};
use super::video_id;
use crate::api::auth::{Caller, ReadVideos};
use crate::api::dto::VideoObject;
use crate::api::errors::ApiError;
use crate::api::state::Api;
use crate::api::wait::Wait;

/// Read a video
#[utoipa::path(
    operation_id = "GetVideo",
    tag = "Videos",
    params(
        ("video_id" = String, Path, example = "video_0190f0c4a1b27c3c9d1e5b6f7a8b9c0d"),
        ("wait" = Option<u32>, Query, maximum = 60, description = "Answer when the job is over, or after this many seconds."),
        ("prefer" = Option<String>, Header, description = "`wait=N`: the same.", example = "wait=30"),
    ),
    responses((status = 200, description = "The job.", body = VideoObject)),
)]
#[get("/v1/videos/{video_id}")]
pub(crate) async fn get_video(
    caller: Caller<ReadVideos>,
    request: HttpRequest,
    id: web::Path<String>,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let id = video_id(&request, &id)?;
    let wait = Wait::of(&request, None)?;
    let view = api.jobs.get(caller.scope(), id).await?;
    let view = settled(&api, &request, caller.scope(), view, wait).await?;
    Ok(answer(&view, wait))
}
