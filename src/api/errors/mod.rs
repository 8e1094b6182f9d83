//! What a refused request is answered: one envelope, one table of codes, one place that knows the retry headers.
//! Messages here are for the client; what happened inside is logged where it is handled.

mod codes;
mod domain;

use std::fmt;
use std::time::Duration;

use actix_web::http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::http::{StatusCode, header::HeaderName};
use actix_web::{HttpResponse, ResponseError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(crate) use codes::ErrorCode;
use codes::RetryRule;

/// Whether the SDKs should send the same request again.
pub(crate) const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// The exact wait before a retry; `retry-after` has whole seconds only.
pub(crate) const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");

/// A wait beyond which a client should rather give up: openai-node sleeps for any delay.
const LONGEST_RETRY_WAIT: Duration = Duration::from_secs(60);

/// The body of every answer that is not a success.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct ErrorResponse {
    pub(crate) error: ErrorBody,
}

/// What went wrong. All four keys are always present.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct ErrorBody {
    /// A sentence for a person.
    #[schema(example = "the number of steps must be 1 to 4, not 5")]
    pub(crate) message: String,
    /// The class of the error.
    #[serde(rename = "type")]
    #[schema(example = "invalid_request_error")]
    pub(crate) kind: String,
    /// The field it is about, as a dotted path.
    #[schema(required, example = "num_steps")]
    pub(crate) param: Option<String>,
    /// The code to branch on.
    #[schema(required, example = "invalid_value")]
    pub(crate) code: Option<String>,
}

/// A refused request.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    code: ErrorCode,
    param: Option<String>,
    message: String,
    retry_after: Option<Duration>,
    headers: Vec<(HeaderName, String)>,
}

impl ApiError {
    /// `message` is shown to the client.
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, param: None, message: message.into(), retry_after: None, headers: Vec::new() }
    }

    /// The error is about this field.
    #[must_use]
    pub(crate) fn about(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// Says when it is worth looking again.
    #[must_use]
    pub(crate) fn after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    #[must_use]
    pub(crate) fn with_header(mut self, name: HeaderName, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// A value that the field does not take.
    pub(crate) fn invalid_value(param: &str, message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidValue, message).about(param)
    }

    /// No such video, or not the caller's.
    pub(crate) fn video_not_found() -> Self {
        Self::new(ErrorCode::VideoNotFound, "no such video").about("video_id")
    }

    /// No such file, or not the caller's.
    pub(crate) fn file_not_found() -> Self {
        Self::new(ErrorCode::FileNotFound, "no such file").about("file_id")
    }

    /// No such route.
    pub(crate) fn unknown_url(method: &str, path: &str) -> Self {
        Self::new(ErrorCode::UnknownUrl, format!("no such route: {method} {path}"))
    }

    /// The route exists with other methods.
    pub(crate) fn method_not_allowed(allowed: &str) -> Self {
        let message = format!("this route takes {allowed} only");
        Self::new(ErrorCode::MethodNotAllowed, message).with_header(ALLOW, allowed.to_owned())
    }

    /// A fault of ours; the cause goes to the log, not to the client.
    pub(crate) fn internal(cause: &dyn fmt::Display) -> Self {
        tracing::error!(error = %cause, "a request failed inside the server");
        Self::new(ErrorCode::InternalError, "the server had an error; the request may be sent again")
    }

    /// Whether it says no to the key itself.
    pub(crate) fn is_about_credentials(&self) -> bool {
        matches!(self.code.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
    }

    /// Whether it has this code.
    pub(crate) fn is(&self, code: ErrorCode) -> bool {
        self.code == code
    }

    /// The field that it is about, as a dotted path.
    pub(crate) fn param(&self) -> Option<&str> {
        self.param.as_deref()
    }

    /// The code, as metrics count it.
    pub(crate) fn code(&self) -> &'static str {
        self.code.as_str()
    }

    /// The wire form.
    pub(crate) fn body(&self) -> ErrorResponse {
        ErrorResponse {
            error: ErrorBody {
                message: self.message.clone(),
                kind: self.code.kind().to_owned(),
                param: self.param.clone(),
                code: Some(self.code.as_str().to_owned()),
            },
        }
    }

    fn should_retry(&self) -> bool {
        let patient = self.retry_after.is_none_or(|wait| wait <= LONGEST_RETRY_WAIT);
        self.code.retry() == RetryRule::Always && patient
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.code.as_str(), self.message)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.code.status()
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.code.status());
        response.insert_header((SHOULD_RETRY, if self.should_retry() { "true" } else { "false" }));
        if let Some(wait) = self.retry_after {
            let millis = wait.as_millis();
            response.insert_header((RETRY_AFTER_MS, millis.to_string()));
            response.insert_header((RETRY_AFTER, millis.div_ceil(1000).to_string()));
        }
        if self.code.status() == StatusCode::UNAUTHORIZED {
            response.insert_header((WWW_AUTHENTICATE, "Bearer"));
        }
        for (name, value) in &self.headers {
            response.insert_header((name.clone(), value.as_str()));
        }
        response.json(self.body())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_answers_as_the_table_says() {
        let table: Vec<String> = ErrorCode::ALL
            .iter()
            .map(|code| {
                let response = ApiError::new(*code, "m").error_response();
                let retry = response.headers().get(SHOULD_RETRY).and_then(|value| value.to_str().ok());
                format!(
                    "{} {} {} retry={}",
                    response.status().as_u16(),
                    code.as_str(),
                    code.kind(),
                    retry.unwrap()
                )
            })
            .collect();
        insta::assert_snapshot!(table.join("\n"));
    }

    #[test]
    fn waits_are_exact_in_milliseconds_and_rounded_up_in_seconds() {
        let error =
            ApiError::new(ErrorCode::RateLimitExceeded, "slow down").after(Duration::from_millis(1001));
        let response = error.error_response();
        let header = |name: HeaderName| response.headers().get(name).unwrap().to_str().unwrap().to_owned();
        assert_eq!((header(RETRY_AFTER), header(RETRY_AFTER_MS)), ("2".to_owned(), "1001".to_owned()));
        assert_eq!(header(SHOULD_RETRY), "true");
        let long = error.after(Duration::from_secs(61)).error_response();
        assert_eq!(long.headers().get(SHOULD_RETRY).unwrap(), "false");
    }

    #[test]
    fn the_envelope_always_has_its_four_keys() {
        let body = serde_json::to_value(ApiError::unknown_url("GET", "/x").body()).unwrap();
        let error = body["error"].as_object().unwrap();
        assert_eq!(error.keys().collect::<Vec<_>>(), ["code", "message", "param", "type"]);
        assert!(error["param"].is_null());
    }
}
