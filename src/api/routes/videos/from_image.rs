//! `POST /v1/videos/from-image`: from a picture, in a form or in JSON.

use actix_web::{HttpRequest, HttpResponse, post, web};

use super::submit::{Order, Picture, Reply, submit};
use crate::api::auth::{Caller, WriteVideos};
use crate::api::body::{self, Accepts, Faults, Fields, ImageInput, Limits, Naming, take_image, take_video};
use crate::api::dto::{FromImageBody, VideoObject};
use crate::api::errors::{ApiError, ErrorCode};
use crate::api::idempotency::Repeatable;
use crate::api::state::Api;

/// Make a video from a picture
#[utoipa::path(
    operation_id = "createVideoFromImage",
    tag = "Videos",
    request_body(content((FromImageBody = "multipart/form-data"), (FromImageBody = "application/json", example = json!({"prompt": "The ball rolls to the right.", "num_steps": 1, "num_frames": 17, "image": "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAEAAAABACAIAAAAlC+aJAAAAT0lEQVR42u3PQQkAAAgEsItjCPtjLCP4FgYrsEzXaxEQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQuCyzhMEP4ZeyawAAAABJRU5ErkJggg=="})))),
    params(("wait" = Option<u32>, Query, maximum = 60, description = "Answer when the job is over, or after this many seconds.")),
    responses((status = 200, description = "The job; with `stream`, its events.", content((VideoObject = "application/json"), (String = "text/event-stream")))),
)]
#[post("/v1/videos/from-image")]
pub(crate) async fn animate_image(
    caller: Caller<WriteVideos>,
    request: HttpRequest,
    payload: web::Payload,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let mut fields = body::read(&request, payload, Accepts::Both, Limits::PICTURE).await?;
    let repeatable = Repeatable::of(&request, &fields)?;
    let mut faults = Faults::of(&["image", "input_reference", "wait", "stream"]);
    let video = take_video(&mut fields, &mut faults);
    let image = take_either(&mut fields, &mut faults);
    let reply = Reply::take(&request, &mut fields, &mut faults);
    faults.keep(fields.refuse(&["characters"], "the models have no identity conditioning"));
    faults.keep(fields.finish());
    let picture = Picture::Given(image);
    submit(&api, &request, &caller, Order { video, picture, reply, repeatable, faults }).await
}

/// The picture under one of its two names.
fn take_either(fields: &mut Fields, faults: &mut Faults) -> Option<(String, ImageInput)> {
    let (first, second) = (fields.has("image"), fields.has("input_reference"));
    let image = faults.keep(take_image(fields, "image", Naming::Lenient)).flatten();
    let other = faults.keep(take_image(fields, "input_reference", Naming::Lenient)).flatten();
    match (first, second) {
        (true, true) => {
            let message = "`input_reference` is another name of `image`; give one of them";
            faults.note(ApiError::invalid_value("input_reference", message));
        }
        (false, false) => {
            let missing = ApiError::new(ErrorCode::MissingRequiredParameter, "`image` is required");
            faults.note(missing.about("image"));
        }
        (true, false) | (false, true) => {}
    }
    image.or(other)
}
