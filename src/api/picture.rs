//! A handed-over picture, checked: fetched if need be, and decoded in another process under the limits of `media`.

use bytes::Bytes;

use super::body::{ImageInput, Upload};
use super::errors::{ApiError, ErrorCode};
use super::state::Api;
use crate::domain::id::FileId;
use crate::domain::key::ProjectScope;
use crate::domain::request::SourceImage;
use crate::media::{MAX_PICTURE_BYTES, PictureError, SandboxError};
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
    /// The uploaded file that it came from.
    pub(crate) file: Option<FileId>,
}

/// Decodes the picture that was handed over as the field `param`.
pub(crate) async fn check(
    api: &Api,
    scope: ProjectScope,
    param: &str,
    input: ImageInput,
) -> Result<CheckedPicture, ApiError> {
    let mut file = None;
    let bytes = match input {
        ImageInput::Bytes(bytes) => bytes,
        ImageInput::Upload(upload) => whole(upload).await.map_err(|error| error.about(param))?,
        ImageInput::Url(url) => {
            api.outgoing.fetch_image(&url).await.map_err(|error| not_fetched(api, &error).about(param))?
        }
        ImageInput::File(text) => {
            let id = text.parse().map_err(|_| ApiError::file_not_found().about(param))?;
            file = Some(id);
            stored(api, scope, id).await.map_err(|error| error.about(param))?
        }
    };
    let (sides, content_type) = judge(api, &bytes).await.map_err(|error| error.about(param))?;
    Ok(CheckedPicture { bytes, sides, content_type, file })
}

/// The sides and the media type of a picture that is none of the refused ones.
pub(crate) async fn judge(api: &Api, bytes: &Bytes) -> Result<(SourceImage, &'static str), ApiError> {
    let (width, height) = api.pictures.sides(bytes).await.map_err(|error| match error {
        SandboxError::Picture(error) => refused(&error),
        SandboxError::Process(error) => ApiError::internal(&error),
    })?;
    Ok((SourceImage { width, height }, sniff(bytes)))
}

/// All bytes of an upload, unless they are too many for a picture.
pub(crate) async fn whole(upload: Upload) -> Result<Bytes, ApiError> {
    check_length(upload.bytes())?;
    upload.whole().await.map_err(|error| ApiError::internal(&error))
}

fn check_length(bytes: u64) -> Result<(), ApiError> {
    let message = "the image is too large";
    if bytes > MAX_PICTURE_BYTES as u64 {
        Err(ApiError::new(ErrorCode::ImageTooLarge, message))
    } else {
        Ok(())
    }
}

/// The bytes of an uploaded file.
async fn stored(api: &Api, scope: ProjectScope, id: FileId) -> Result<Bytes, ApiError> {
    let file = api.jobs.file(scope, id).await?;
    check_length(file.bytes)?;
    Ok(api.jobs.file_bytes(&file).await?)
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

/// Whether the first bytes are those of a format that pictures come in.
pub(crate) fn looks_like_one(head: &[u8]) -> bool {
    head.starts_with(b"\xff\xd8\xff")
        || head.starts_with(b"\x89PNG\r\n\x1a\n")
        || head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WEBP".as_slice())
}

/// Only asked of pictures that were decoded.
fn sniff(bytes: &[u8]) -> &'static str {
    match bytes {
        [0xff, 0xd8, ..] => "image/jpeg",
        [0x89, b'P', ..] => "image/png",
        _ => "image/webp",
    }
}
