//! `DELETE /v1/videos/{video_id}`: forgets an ended job and its files; its bookings stay.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, delete, web};

use super::video_id;
use crate::api::auth::{Caller, DeleteVideos};
use crate::api::dto::DeletedVideo;
use crate::api::errors::ApiError;
use crate::api::query::Query;
use crate::api::state::Api;
use crate::domain::id::VideoId;
use crate::jobs::JobsError;

/// A running job stops at its next step; slower ones are deleted by a second call.
const STOPPING: Duration = Duration::from_secs(30);

/// Delete a video
#[utoipa::path(
    operation_id = "DeleteVideo",
    tag = "Videos",
    params(
        ("video_id" = String, Path, example = "video_0190f0c4a1b27c3c9d1e5b6f7a8b9c0d"),
        ("cancel" = Option<bool>, Query, description = "Cancel the job first if it is not over."),
    ),
    responses((status = 200, description = "It is gone.", body = DeletedVideo)),
)]
#[delete("/v1/videos/{video_id}")]
pub(crate) async fn delete_video(
    caller: Caller<DeleteVideos>,
    request: HttpRequest,
    id: web::Path<String>,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let id = video_id(&request, &id)?;
    let cancel = Query::of(&request)?.boolean("cancel")?.unwrap_or(false);
    if cancel {
        cancel_first(&api, &caller, id).await?;
    }
    api.jobs.delete(caller.scope(), id, caller.actor()).await?;
    Ok(HttpResponse::Ok().json(DeletedVideo { id: id.to_string(), object: "video.deleted", deleted: true }))
}

async fn cancel_first(api: &Api, caller: &Caller<DeleteVideos>, id: VideoId) -> Result<(), ApiError> {
    match api.jobs.cancel(caller.scope(), id, caller.actor()).await {
        Ok(_) => {
            api.jobs.wait(caller.scope(), id, STOPPING).await?;
            Ok(())
        }
        Err(JobsError::NotCancellable(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
