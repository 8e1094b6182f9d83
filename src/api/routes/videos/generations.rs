//! `POST /v1/videos/generations`: from text, in JSON.

use actix_web::{HttpRequest, HttpResponse, post, web};

use super::submit::{Order, Picture, Reply, submit};
use crate::api::auth::{Caller, WriteVideos};
use crate::api::body::{self, Accepts, Faults, Limits, take_video};
use crate::api::dto::{GenerateVideoBody, VideoObject};
use crate::api::errors::ApiError;
use crate::api::idempotency::Repeatable;
use crate::api::state::Api;

/// What only `from-image` takes.
const PICTURES: [&str; 3] = ["input_reference", "image", "characters"];

/// Make a video from text
#[utoipa::path(
    operation_id = "createVideoGeneration",
    tag = "Videos",
    request_body(content = GenerateVideoBody, content_type = "application/json", example = json!({"prompt": "A red ball rolls over green grass.", "num_steps": 1, "num_frames": 17})),
    params(("wait" = Option<u32>, Query, maximum = 60, description = "Answer when the job is over, or after this many seconds.")),
    responses((status = 200, description = "The job; with `stream`, its events.", content((VideoObject = "application/json"), (String = "text/event-stream")))),
)]
#[post("/v1/videos/generations")]
pub(crate) async fn generate_video(
    caller: Caller<WriteVideos>,
    request: HttpRequest,
    payload: web::Payload,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let mut fields = body::read(&request, payload, Accepts::Json, Limits::PLAIN).await?;
    let repeatable = Repeatable::of(&request, &fields)?;
    let mut faults = Faults::of(&["wait", "stream"]);
    let video = take_video(&mut fields, &mut faults);
    let reply = Reply::take(&request, &mut fields, &mut faults);
    faults.keep(fields.refuse(&PICTURES, "pictures go to /v1/videos/from-image"));
    faults.keep(fields.finish());
    submit(&api, &request, &caller, Order { video, picture: Picture::None, reply, repeatable, faults }).await
}
