//! What a bucket's refusals mean. Keeps the code and the status of an answer and drops its body, which may repeat
//! what was signed.

use reqwest::StatusCode;
use s3::Error;

use crate::storage::StorageError;

/// Codes by which services say that nothing more fits.
const FULL: [&str; 5] = [
    "QuotaExceeded",
    "ServiceQuotaExceeded",
    "InsufficientStorage",
    "XMinioStorageFull",
    "InsufficientCapacity",
];

/// Codes by which services say that it is too much at once.
const BUSY: [&str; 6] = [
    "SlowDown",
    "RequestTimeout",
    "ServiceUnavailable",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
];

/// The failure in our words.
pub(super) fn storage_error(error: Error) -> StorageError {
    let told = told(&error);
    let code = error.code().unwrap_or_default();
    match error.status() {
        _ if FULL.contains(&code) => StorageError::Full,
        Some(StatusCode::INSUFFICIENT_STORAGE) => StorageError::Full,
        _ if BUSY.contains(&code) => StorageError::TooSlow(told),
        Some(
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE | StatusCode::REQUEST_TIMEOUT,
        ) => StorageError::TooSlow(told),
        Some(status) if status.is_server_error() => StorageError::Unreachable(told),
        Some(_) => StorageError::Refused(told),
        None => match error {
            Error::Transport { message, .. } if told.contains("timeout") || message.contains("timeout") => {
                StorageError::TooSlow(told)
            }
            Error::Transport { .. } => StorageError::Unreachable(told),
            Error::InvalidConfig { .. } | Error::Signing { .. } => StorageError::Refused(told),
            Error::Api { .. } | Error::RateLimited { .. } | Error::Decode { .. } | _ => {
                StorageError::Unreachable(told)
            }
        },
    }
}

/// Nothing is stored under that name. A missing bucket is another matter.
pub(super) fn is_missing(error: &Error) -> bool {
    error.status() == Some(StatusCode::NOT_FOUND) && error.code() != Some("NoSuchBucket")
}

pub(super) fn range_unsatisfiable(error: &Error) -> bool {
    error.status() == Some(StatusCode::RANGE_NOT_SATISFIABLE)
}

fn told(error: &Error) -> String {
    match error {
        Error::Api { status, code, .. } | Error::RateLimited { status, code, .. } => {
            format!("the bucket answered {} {}", status.as_u16(), code.as_deref().unwrap_or("without a code"))
        }
        Error::Transport { message, source } => {
            let cause = source.as_ref().map(|source| format!(": {source}")).unwrap_or_default();
            without_query(&format!("{message}{cause}"))
        }
        Error::InvalidConfig { message } | Error::Signing { message } | Error::Decode { message, .. } => {
            without_query(message)
        }
        _ => "the client of the bucket failed".to_owned(),
    }
}

/// Addresses may stand in a message; their queries may be signed.
fn without_query(text: &str) -> String {
    let words = text.split(' ').map(|word| word.split_once('?').map_or(word, |(address, _)| address));
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(status: u16, code: &str) -> Error {
        Error::Api {
            status: StatusCode::from_u16(status).unwrap(),
            code: Some(code.to_owned()),
            message: Some("secret".to_owned()),
            request_id: None,
            host_id: None,
            body_snippet: Some("<StringToSign>secret</StringToSign>".to_owned()),
        }
    }

    #[test]
    fn each_trouble_has_its_name_and_tells_nothing_of_what_was_signed() {
        for (status, code, expected) in [
            (403, "SignatureDoesNotMatch", "refused"),
            (403, "QuotaExceeded", "full"),
            (507, "XMinioStorageFull", "full"),
            (503, "SlowDown", "slow"),
            (500, "InternalError", "down"),
            (404, "NoSuchBucket", "refused"),
        ] {
            let error = storage_error(api(status, code));
            assert_eq!(error.kind(), expected, "{code}");
            assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
        }
        let refused = Error::transport("request to http://b/k?X-Amz-Signature=abc failed", None);
        assert_eq!(
            storage_error(refused).to_string(),
            "the storage cannot be reached: request to http://b/k failed"
        );
    }
}
