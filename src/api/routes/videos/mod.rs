//! `/v1/videos…`: a file a verb.

mod answer;
mod cancel;
mod content;
mod create;
mod delete;
mod download;
mod events;
mod from_image;
mod generations;
mod list;
mod read;
mod remix;
mod submit;
mod unsupported;

pub(crate) use cancel::cancel_video;
pub(in crate::api) use content::disposition;
pub(crate) use content::{head_video_content, video_content};
pub(crate) use create::create_video;
pub(crate) use delete::delete_video;
pub(crate) use download::{download_signed, download_url, head_download_signed};
pub(crate) use events::video_events;
pub(crate) use from_image::animate_image;
pub(crate) use generations::generate_video;
pub(crate) use list::list_videos;
pub(crate) use read::get_video;
pub(crate) use remix::remix_video;
pub(crate) use unsupported::{create_character, edit_video, extend_video, get_character};

use actix_web::{HttpRequest, web};

use super::fallback::KnownPaths;
use crate::api::errors::ApiError;
use crate::domain::id::VideoId;

/// A text that is no id names no video, and says no more than an unknown id; a literal path is another route.
fn video_id(request: &HttpRequest, text: &str) -> Result<VideoId, ApiError> {
    text.parse().map_err(|_| {
        let known = request.app_data::<web::Data<KnownPaths>>();
        let other = known.and_then(|known| known.literal(request.path()));
        other.map_or_else(ApiError::video_not_found, |methods| {
            ApiError::method_not_allowed(&methods.join(", "))
        })
    })
}
