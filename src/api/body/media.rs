//! Which media types a route takes, how much of each, and the reading itself.

use std::time::Duration;

use actix_web::error::PayloadError;
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use actix_web::{HttpRequest, web};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use super::fields::Fields;
use super::limited::Limited;
use super::{json, multipart};
use crate::api::errors::{ApiError, ErrorCode};

/// Bodies without a picture.
const SMALL_BODY_BYTES: usize = 1 << 20;

/// Bodies with a picture of 10 MiB, in base64 or as a file.
const PICTURE_BODY_BYTES: usize = 16 << 20;

/// Forms with a file of 100 MiB.
const FILE_BODY_BYTES: usize = 110 << 20;

/// The text parts of a form with a file say little, and stay in memory for as long as the file takes.
const FILE_TEXT_BYTES: usize = 1 << 20;

/// For a whole body with a picture: the largest at a bit over two megabits a second.
const PICTURE_TIME: Duration = Duration::from_secs(60);

/// For a whole body with a file: the largest at two megabits a second.
const FILE_TIME: Duration = Duration::from_secs(480);

/// The media types of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accepts {
    Json,
    Multipart,
    Both,
}

/// The longest body of each type, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    json: usize,
    multipart: usize,
    /// Of all text parts of a form together.
    text: usize,
    time: Duration,
}

impl Limits {
    /// No picture in JSON.
    pub(crate) const PLAIN: Self = Self {
        json: SMALL_BODY_BYTES,
        multipart: PICTURE_BODY_BYTES,
        text: PICTURE_BODY_BYTES,
        time: PICTURE_TIME,
    };
    /// A picture in either form.
    pub(crate) const PICTURE: Self = Self { json: PICTURE_BODY_BYTES, ..Self::PLAIN };
    /// A file in a form.
    pub(crate) const FILE: Self =
        Self { json: SMALL_BODY_BYTES, multipart: FILE_BODY_BYTES, text: FILE_TEXT_BYTES, time: FILE_TIME };
}

/// Reads and decodes a body. The caller has been authenticated before.
pub(crate) async fn read(
    request: &HttpRequest,
    payload: web::Payload,
    accepts: Accepts,
    limits: Limits,
) -> Result<Fields, ApiError> {
    let essence = essence(request);
    match essence.as_deref() {
        Some("application/json") if accepts != Accepts::Multipart => {
            check_declared(request, limits.json)?;
            json::decode(&collect(Limited::new(payload, limits.json, limits.time)).await?)
        }
        Some("multipart/form-data") if accepts != Accepts::Json => {
            check_declared(request, limits.multipart)?;
            let limited = Limited::new(payload, limits.multipart, limits.time);
            multipart::decode(request.headers(), limited, limits.text).await
        }
        // Nothing is sent and no type is said: nothing is asked for beyond what the path says.
        None if accepts != Accepts::Multipart && is_empty(request) => Ok(Fields::default()),
        Some(_) | None => {
            let types = match accepts {
                Accepts::Json => "application/json",
                Accepts::Multipart => "multipart/form-data",
                Accepts::Both => "multipart/form-data or application/json",
            };
            Err(ApiError::new(ErrorCode::UnsupportedMediaType, format!("this route takes {types}")))
        }
    }
}

/// Reads a body without decoding it.
pub(crate) async fn whole(
    request: &HttpRequest,
    payload: web::Payload,
    limits: Limits,
) -> Result<Bytes, ApiError> {
    check_declared(request, limits.json)?;
    collect(Limited::new(payload, limits.json, limits.time)).await
}

/// Whether the body is a form.
pub(crate) fn is_form(request: &HttpRequest) -> bool {
    essence(request).as_deref() == Some("multipart/form-data")
}

fn essence(request: &HttpRequest) -> Option<String> {
    let value = request.headers().get(CONTENT_TYPE)?.to_str().ok()?;
    value.split(';').next().map(|essence| essence.trim().to_ascii_lowercase())
}

fn is_empty(request: &HttpRequest) -> bool {
    let length = request.headers().get(CONTENT_LENGTH);
    length.is_none_or(|length| length == "0") && !request.headers().contains_key(TRANSFER_ENCODING)
}

fn check_declared(request: &HttpRequest, limit: usize) -> Result<(), ApiError> {
    let declared = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let length = declared.and_then(|digits| digits.parse::<u64>().ok());
    if length.is_some_and(|length| length > limit as u64) { Err(too_large(limit)) } else { Ok(()) }
}

async fn collect(mut payload: Limited) -> Result<Bytes, ApiError> {
    let limit = payload.limit();
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        match chunk {
            Ok(chunk) => body.extend_from_slice(&chunk),
            Err(PayloadError::Overflow) => return Err(too_large(limit)),
            Err(_) => {
                return Err(ApiError::new(ErrorCode::InvalidJson, "the body broke off or came too slowly"));
            }
        }
    }
    Ok(body.freeze())
}

fn too_large(limit: usize) -> ApiError {
    ApiError::new(ErrorCode::RequestTooLarge, format!("the body is larger than {limit} bytes"))
}
