//! A handed-over picture, checked: fetched if need be, and decoded in another process under the limits of `media`.

use bytes::Bytes;

use super::body::ImageInput;
use super::errors::{ApiError, ErrorCode};
use super::state::Api;
use crate::domain::request::SourceImage;
use crate::media::{PictureError, SandboxError};
use crate::net::{FetchError, Purpose};

/// A picture that can be the first frame.
#[derive(Debug)]
pub(crate) struct CheckedPicture {
    /// As uploaded.
    pub(crate) bytes: Bytes,
    /// Sides after EXIF rotation.
    pub(crate) sides: SourceImage,
    /// By its first bytes.
    pub(crate) content_type: &'static str,
}

/// Decodes the picture that was handed over as the field `param`.
pub(crate) async fn check(api: &Api, param: &str, input: ImageInput) -> Result<CheckedPicture, ApiError> {
    let bytes = match input {
        ImageInput::Bytes(bytes) => bytes,
        ImageInput::Url(url) => {
            api.outgoing.fetch_image(&url).await.map_err(|error| not_fetched(api, &error).about(param))?
        }
        ImageInput::File(_) => {
            let message = "this server keeps no files; send a file part or a data URL";
            return Err(ApiError::new(ErrorCode::UnsupportedParameter, message).about(param));
        }
    };
    let content_type = sniff(&bytes);
    let (width, height) = api.pictures.sides(&bytes).await.map_err(|error| match error {
        SandboxError::Picture(error) => refused(&error).about(param),
        SandboxError::Process(error) => ApiError::internal(&error),
    })?;
    let sides = SourceImage { width, height };
    Ok(CheckedPicture { bytes, sides, content_type })
}

/// Says no more than the contract: which address or answer it was is nobody's business.
fn not_fetched(api: &Api, error: &FetchError) -> ApiError {
    tracing::debug!(%error, "a picture was not fetched");
    match error {
        FetchError::Refused(_) => {
            api.metrics.outbound_blocked_total.increment([Purpose::Image.as_str()]);
            ApiError::new(ErrorCode::ImageUrlNotAllowed, "the URL is not allowed")
        }
        FetchError::TooLarge => ApiError::new(ErrorCode::ImageTooLarge, "the image is too large"),
        FetchError::Failed(_) => ApiError::new(ErrorCode::ImageFetchFailed, "the image cannot be fetched"),
    }
}

fn refused(error: &PictureError) -> ApiError {
    let code = match error {
        PictureError::UnknownFormat | PictureError::Animated => ErrorCode::UnsupportedImageFormat,
        PictureError::TooLarge(_) => ErrorCode::ImageTooLarge,
        PictureError::Dimensions { .. } => ErrorCode::ImageDimensions,
        PictureError::Aspect { .. } => ErrorCode::ImageAspectRatio,
        PictureError::Broken(_) => {
            return ApiError::new(ErrorCode::InvalidImage, "the image cannot be decoded");
        }
    };
    ApiError::new(code, error.to_string())
}

/// Only asked of pictures that were decoded.
fn sniff(bytes: &[u8]) -> &'static str {
    match bytes {
        [0xff, 0xd8, ..] => "image/jpeg",
        [0x89, b'P', ..] => "image/png",
        _ => "image/webp",
    }
}
