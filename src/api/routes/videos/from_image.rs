//! `POST /v1/videos/from-image`: from a picture, in a form or in JSON.

use actix_web::{HttpRequest, HttpResponse, post, web};

use super::submit::{Order, Reply, submit};
use crate::api::auth::{Caller, WriteVideos};
use crate::api::body::{self, Accepts, Limits, Naming, take_image, take_video};
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
    let video = take_video(&mut fields)?;
    let image = take_image(&mut fields, "image", Naming::Lenient)?;
    let second = take_image(&mut fields, "input_reference", Naming::Lenient)?;
    let wait = fields.integer("wait")?;
    let stream = fields.boolean("stream")?.unwrap_or(false);
    fields.refuse(&["characters"], "the models have no identity conditioning")?;
    fields.finish()?;
    let image = match (image, second) {
        (Some(_), Some(_)) => {
            let message = "`input_reference` is another name of `image`; give one of them";
            return Err(ApiError::invalid_value("input_reference", message));
        }
        (None, None) => {
            return Err(
                ApiError::new(ErrorCode::MissingRequiredParameter, "`image` is required").about("image")
            );
        }
        (one, other) => one.or(other),
    };
    let reply = Reply::of(&request, wait, stream)?;
    submit(&api, &request, &caller, Order { video, image, reply, repeatable }).await
}
