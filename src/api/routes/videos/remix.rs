//! `POST /v1/videos/{video_id}/remix`: an earlier video again, with another prompt.

use actix_web::{HttpRequest, HttpResponse, post, web};

use super::submit::{Order, Picture, Reply, resubmit};
use super::video_id;
use crate::api::auth::{Caller, WriteVideos};
use crate::api::body::{self, Accepts, Faults, Limits, take_video};
use crate::api::dto::{RemixVideoBody, VideoObject};
use crate::api::errors::{ApiError, ErrorCode};
use crate::api::idempotency::Repeatable;
use crate::api::state::Api;
use crate::api::wait::Wait;

/// Remix a video
///
/// Parameters, seed and picture are those of the source, except where the body says otherwise.
#[utoipa::path(
    operation_id = "CreateVideoRemix",
    tag = "Videos",
    params(
        ("video_id" = String, Path, example = "video_0190f0c4a1b27c3c9d1e5b6f7a8b9c0d"),
        ("wait" = Option<u32>, Query, maximum = 60, description = "Answer when the job is over, or after this many seconds."),
    ),
    request_body(content(
        (RemixVideoBody = "application/json", example = json!({"prompt": "The ball is blue now."})),
        (RemixVideoBody = "multipart/form-data"),
    )),
    responses((status = 200, description = "The new job.", body = VideoObject)),
)]
#[post("/v1/videos/{video_id}/remix")]
pub(crate) async fn remix_video(
    caller: Caller<WriteVideos>,
    request: HttpRequest,
    id: web::Path<String>,
    payload: web::Payload,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let id = video_id(&request, &id)?;
    let mut fields = body::read(&request, payload, Accepts::Both, Limits::PLAIN).await?;
    let repeatable = Repeatable::of(&request, &fields)?;
    let source = api.jobs.get(caller.scope(), id).await?.job;
    let mut faults = Faults::of(&["wait"]);
    let has_prompt = fields.has("prompt");
    let video = take_video(&mut fields, &mut faults);
    if !has_prompt {
        let missing = ApiError::new(ErrorCode::MissingRequiredParameter, "`prompt` is required");
        faults.note(missing.about("prompt"));
    }
    let wait = faults.keep(Wait::of(&request, None)).unwrap_or_default();
    faults.keep(fields.finish());
    let order = Order { video, picture: Picture::None, reply: Reply::Job(wait), repeatable, faults };
    resubmit(&api, &request, &caller, &source, order).await
}
