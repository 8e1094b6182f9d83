//! Sending stored bytes: what their headers say, and which of them a request is to get. Reads nothing from storage.

use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName,
    HttpDate, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, RANGE,
};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};

use super::errors::{ApiError, ErrorCode};
use super::range::{Wanted, matches_tag, wanted};
use crate::domain::clock::UnixMillis;

/// A cache need not keep a private file longer than this.
const LONGEST_MAX_AGE: Duration = Duration::from_secs(3600);

/// A stored file and how it is presented.
pub(crate) struct Delivery<'a> {
    pub(crate) bytes: u64,
    pub(crate) sha256: &'a str,
    pub(crate) modified: UnixMillis,
    pub(crate) expires_in: Duration,
    pub(crate) content_type: &'a str,
    pub(crate) disposition: String,
}

/// An answer that lacks only its body, which is these bytes of the file, all of them if `None`.
pub(crate) type Send = (HttpResponseBuilder, Option<Range<u64>>);

impl Delivery<'_> {
    /// What to send, or the whole answer where the client has the file already.
    pub(crate) fn answer(&self, request: &HttpRequest) -> Result<Result<Send, HttpResponse>, ApiError> {
        let tag = format!("\"{}\"", self.sha256);
        let modified = UNIX_EPOCH + Duration::from_secs(self.modified.seconds());
        let max_age = self.expires_in.min(LONGEST_MAX_AGE).as_secs();
        let mut response = HttpResponse::Ok();
        response
            .insert_header((CONTENT_TYPE, self.content_type))
            .insert_header((ETAG, tag.as_str()))
            .insert_header((ACCEPT_RANGES, "bytes"))
            .insert_header((LAST_MODIFIED, HttpDate::from(modified).to_string()))
            .insert_header((CONTENT_DISPOSITION, self.disposition.as_str()))
            .insert_header((CACHE_CONTROL, format!("private, max-age={max_age}, immutable")));
        if unchanged(request, &tag, modified) {
            return Ok(Err(response.status(StatusCode::NOT_MODIFIED).finish()));
        }
        let length = self.bytes;
        let range = header(request, &RANGE).filter(|_| may_be_partial(request, &tag, modified));
        match wanted(range, length) {
            Wanted::Whole => Ok(Ok((response, None))),
            Wanted::Part(part) => {
                let range = format!("bytes {}-{}/{length}", part.start, part.end - 1);
                response.status(StatusCode::PARTIAL_CONTENT).insert_header((CONTENT_RANGE, range));
                Ok(Ok((response, Some(part))))
            }
            Wanted::Unsatisfiable => {
                Err(ApiError::new(ErrorCode::RangeNotSatisfiable, "the file has no such bytes")
                    .with_header(CONTENT_RANGE, format!("bytes */{length}")))
            }
        }
    }
}

/// A `Content-Disposition` with any name, as RFC 6266 writes it.
pub(crate) fn attachment(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if !name.is_empty() && name.bytes().all(plain) {
        return format!("attachment; filename=\"{name}\"");
    }
    let encoded: String = name
        .bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect();
    format!("attachment; filename*=UTF-8''{encoded}")
}

fn unchanged(request: &HttpRequest, tag: &str, modified: SystemTime) -> bool {
    match header(request, &IF_NONE_MATCH) {
        Some(tags) => matches_tag(tags, tag),
        None => date(request, &IF_MODIFIED_SINCE).is_some_and(|since| modified <= since),
    }
}

/// `If-Range` allows a part only of the file that the client knows.
fn may_be_partial(request: &HttpRequest, tag: &str, modified: SystemTime) -> bool {
    match header(request, &IF_RANGE) {
        None => true,
        Some(known) => known == tag || date(request, &IF_RANGE) == Some(modified),
    }
}

fn header<'a>(request: &'a HttpRequest, name: &HeaderName) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

fn date(request: &HttpRequest, name: &HeaderName) -> Option<SystemTime> {
    header(request, name)?.parse::<HttpDate>().ok().map(SystemTime::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_breaks_out_of_its_header() {
        assert_eq!(attachment("cat.png"), "attachment; filename=\"cat.png\"");
        assert_eq!(attachment("a\"; x=\"ü"), "attachment; filename*=UTF-8''a%22%3B%20x%3D%22%C3%BC");
        assert_eq!(attachment(""), "attachment; filename*=UTF-8''");
    }
}
