//! How long a client wants to wait for the end of a job, and the waiting.

use std::time::Duration;

use actix_web::{HttpMessage, HttpRequest};

use super::errors::ApiError;
use super::query::Query;

/// Far below the 600 s after which the SDKs would send the request again.
const LONGEST_WAIT_SECONDS: u64 = 60;

/// A wish to wait. Zero seconds is the same as none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Wait {
    seconds: Option<u64>,
}

/// Time that a request spent waiting because the client asked for it; not counted as the server's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waited(pub(crate) Duration);

impl Wait {
    /// The query wins over the body, the body over the header `Prefer`, which is cut instead of refused.
    pub(crate) fn of(request: &HttpRequest, body: Option<i64>) -> Result<Self, ApiError> {
        let query = Query::of(request)?.integer("wait", 0..=LONGEST_WAIT_SECONDS)?;
        let body = body.map(|seconds| match u64::try_from(seconds) {
            Ok(seconds) if seconds <= LONGEST_WAIT_SECONDS => Ok(seconds),
            Ok(_) | Err(_) => {
                let message = format!("`wait` must be an integer from 0 to {LONGEST_WAIT_SECONDS}");
                Err(ApiError::invalid_value("wait", message))
            }
        });
        let seconds = query.or(body.transpose()?).or_else(|| preferred(request));
        Ok(Self { seconds })
    }

    /// How long; `None` if the client does not wait.
    pub(crate) fn duration(self) -> Option<Duration> {
        self.seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs)
    }

    /// The value of `preference-applied`.
    pub(crate) fn applied(self) -> Option<String> {
        self.seconds.map(|seconds| format!("wait={seconds}"))
    }

    /// Notes the time spent.
    pub(crate) fn note(request: &HttpRequest, spent: Duration) {
        request.extensions_mut().insert(Waited(spent));
    }
}

fn preferred(request: &HttpRequest) -> Option<u64> {
    let headers = request.headers().get_all("prefer").filter_map(|value| value.to_str().ok());
    let preferences = headers.flat_map(|value| value.split(',')).map(str::trim);
    let mut waits = preferences.filter_map(|preference| {
        let (name, value) = preference.split_once('=')?;
        let value = value.split(';').next().unwrap_or_default().trim().trim_matches('"');
        let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        // More digits than a number has is a long wait too.
        let seconds = || value.parse().unwrap_or(u64::MAX).min(LONGEST_WAIT_SECONDS);
        (name.trim().eq_ignore_ascii_case("wait") && digits).then(seconds)
    });
    waits.next()
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn wait(uri: &str, prefer: &str, body: Option<i64>) -> Result<Option<u64>, ()> {
        let request = TestRequest::with_uri(uri).insert_header(("prefer", prefer)).to_http_request();
        Wait::of(&request, body).map(|wait| wait.seconds).map_err(|_| ())
    }

    #[test]
    fn every_way_to_ask_is_understood() {
        assert_eq!(wait("/v1/videos", "respond-async", None), Ok(None));
        assert_eq!(wait("/v1/videos?wait=5", "wait=7", Some(6)), Ok(Some(5)));
        assert_eq!(wait("/v1/videos", "wait=7", Some(6)), Ok(Some(6)));
        assert_eq!(wait("/v1/videos", "respond-async, wait=100", None), Ok(Some(60)));
        assert_eq!(wait("/v1/videos", "wait=99999999999999999999; x, wait=5", None), Ok(Some(60)));
        assert_eq!(wait("/v1/videos", "wait=-1, wait=, wait=1.5", None), Ok(None));
        assert_eq!(wait("/v1/videos?wait=61", "", None), Err(()));
        assert_eq!(wait("/v1/videos", "", Some(-1)), Err(()));
    }
}
