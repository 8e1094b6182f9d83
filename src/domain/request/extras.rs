//! What goes with a job and changes no pixel: how long its files are kept, whom to call back, the owner's notes.

use std::collections::BTreeMap;

use super::VideoRequest;
use super::fault::{BadRequest, RequestFault};

/// How long files are kept unless the request says otherwise: a day.
pub const DEFAULT_ASSET_TTL_SECONDS: u32 = 86_400;

/// The longest URL that any parameter takes; longer ones are mistakes or attacks.
pub const MAX_URL_BYTES: usize = 2048;

/// Least and most seconds that files are kept: an hour, thirty days.
const ASSET_TTL_RANGE: std::ops::RangeInclusive<i64> = 3_600..=2_592_000;

/// Notes a job carries at most, and the characters of a name and of a note.
const MAX_METADATA_PAIRS: usize = 16;
const MAX_METADATA_KEY: usize = 64;
const MAX_METADATA_VALUE: usize = 512;

/// Applies the rule of `asset_ttl_seconds`.
pub(super) fn asset_ttl_seconds(request: &VideoRequest) -> Result<u32, BadRequest> {
    let Some(seconds) = request.asset_ttl_seconds else { return Ok(DEFAULT_ASSET_TTL_SECONDS) };
    if ASSET_TTL_RANGE.contains(&seconds) {
        return Ok(seconds as u32);
    }
    let (least, most) = (ASSET_TTL_RANGE.start(), ASSET_TTL_RANGE.end());
    Err(BadRequest::value(
        "asset_ttl_seconds",
        format!("the time to keep files must be {least} to {most} seconds"),
    ))
}

/// Applies the rules of `callback_url` that need no network.
pub(super) fn callback_url(request: &VideoRequest, offered: bool) -> Result<Option<String>, BadRequest> {
    let Some(url) = &request.callback_url else { return Ok(None) };
    if url.len() > MAX_URL_BYTES {
        let message = format!("a URL has at most {MAX_URL_BYTES} bytes");
        return Err(BadRequest::new(RequestFault::TooLong, "callback_url", message));
    }
    if !offered {
        let message = "this server does not send callbacks";
        return Err(BadRequest::new(RequestFault::CallbackUrl, "callback_url", message));
    }
    Ok(Some(url.clone()))
}

/// Applies the rules of `metadata`.
pub(super) fn metadata(request: &VideoRequest) -> Result<BTreeMap<String, String>, BadRequest> {
    let Some(pairs) = &request.metadata else { return Ok(BTreeMap::new()) };
    if pairs.len() > MAX_METADATA_PAIRS {
        return Err(BadRequest::value("metadata", format!("at most {MAX_METADATA_PAIRS} pairs of metadata")));
    }
    for (key, value) in pairs {
        if key.chars().count() > MAX_METADATA_KEY || value.chars().count() > MAX_METADATA_VALUE {
            let message = format!(
                "a metadata key has at most {MAX_METADATA_KEY} characters, a value at most {MAX_METADATA_VALUE}"
            );
            return Err(BadRequest::value("metadata", message));
        }
    }
    Ok(pairs.clone())
}
