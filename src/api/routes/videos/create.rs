//! `POST /v1/videos`: as the SDKs call it, from text or from a picture.

use actix_web::{HttpRequest, HttpResponse, post, web};

use super::submit::{Order, Picture, Reply, submit};
use crate::api::auth::{Caller, WriteVideos};
use crate::api::body::{self, Accepts, Faults, Limits, Naming, take_image, take_video};
use crate::api::dto::{CreateVideoBody, VideoObject};
use crate::api::errors::ApiError;
use crate::api::idempotency::Repeatable;
use crate::api::state::Api;
use crate::api::wait::Wait;

/// Make a video
///
/// From text, or from a picture if `input_reference` is given.
#[utoipa::path(
    operation_id = "createVideo",
    tag = "Videos",
    request_body(content(
        (CreateVideoBody = "multipart/form-data"),
        (CreateVideoBody = "application/json", example = json!({"prompt": "A red ball rolls over green grass.", "num_steps": 1, "num_frames": 17})),
    )),
    params(("wait" = Option<u32>, Query, maximum = 60, description = "Answer when the job is over, or after this many seconds.")),
    responses((status = 200, description = "The job.", body = VideoObject)),
)]
#[post("/v1/videos")]
pub(crate) async fn create_video(
    caller: Caller<WriteVideos>,
    request: HttpRequest,
    payload: web::Payload,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let mut fields = body::read(&request, payload, Accepts::Both, Limits::PICTURE).await?;
    let repeatable = Repeatable::of(&request, &fields)?;
    let mut faults = Faults::of(&["input_reference", "wait"]);
    let video = take_video(&mut fields, &mut faults);
    let expected = fields.has("input_reference");
    let image = faults.keep(take_image(&mut fields, "input_reference", Naming::Strict)).flatten();
    let wait = faults.keep(Wait::of(&request, None)).unwrap_or_default();
    faults.keep(fields.refuse(&["characters"], "the models have no identity conditioning"));
    faults.keep(fields.finish());
    let picture = if expected { Picture::Given(image) } else { Picture::None };
    submit(&api, &request, &caller, Order { video, picture, reply: Reply::Job(wait), repeatable, faults })
        .await
}
