//! The one table of public error codes: what a client may see, its HTTP status, its type, and whether to try again.

use actix_web::http::StatusCode;

/// What the SDKs are told about trying again (`x-should-retry`, and `retry-after` where a time is known).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RetryRule {
    Never,
    Always,
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $name:ident = $code:literal, $status:literal, $kind:literal, $retry:ident;)+) => {
        /// A public error code. The table is the contract's, also where nothing answers a code yet.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum ErrorCode {
            $($(#[doc = $doc])* $name,)+
        }

        impl ErrorCode {
            /// Every code, in the order of the contract.
            pub(crate) const ALL: &[Self] = &[$(Self::$name,)+];

            /// As written on the wire.
            pub(crate) fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// The status of the answer.
            pub(crate) fn status(self) -> StatusCode {
                let number = match self { $(Self::$name => $status,)+ };
                StatusCode::from_u16(number).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            }

            /// The `type` of the envelope.
            pub(crate) fn kind(self) -> &'static str {
                match self { $(Self::$name => $kind,)+ }
            }

            pub(crate) fn retry(self) -> RetryRule {
                match self { $(Self::$name => RetryRule::$retry,)+ }
            }
        }
    };
}

codes! {
    MissingRequiredParameter = "missing_required_parameter", 400, "invalid_request_error", Never;
    InvalidType = "invalid_type", 400, "invalid_request_error", Never;
    InvalidValue = "invalid_value", 400, "invalid_request_error", Never;
    StringAboveMaxLength = "string_above_max_length", 400, "invalid_request_error", Never;
    UnknownParameter = "unknown_parameter", 400, "invalid_request_error", Never;
    UnsupportedParameter = "unsupported_parameter", 400, "invalid_request_error", Never;
    ModelOperationMismatch = "model_operation_mismatch", 400, "invalid_request_error", Never;
    /// A variant of a model (400); that of a video is [`Self::AssetNotAvailable`].
    VariantNotDeployed = "variant_not_available", 400, "invalid_request_error", Never;
    OperationNotSupported = "operation_not_supported", 400, "invalid_request_error", Never;
    InvalidJson = "invalid_json", 400, "invalid_request_error", Never;
    InvalidMultipart = "invalid_multipart", 400, "invalid_request_error", Never;
    InvalidImage = "invalid_image", 400, "invalid_request_error", Never;
    UnsupportedImageFormat = "unsupported_image_format", 400, "invalid_request_error", Never;
    ImageTooLarge = "image_too_large", 400, "invalid_request_error", Never;
    ImageDimensions = "image_dimensions", 400, "invalid_request_error", Never;
    ImageAspectRatio = "image_aspect_ratio", 400, "invalid_request_error", Never;
    ImageUrlNotAllowed = "image_url_not_allowed", 400, "invalid_request_error", Never;
    ImageFetchFailed = "image_fetch_failed", 400, "invalid_request_error", Never;
    InvalidVideo = "invalid_video", 400, "invalid_request_error", Never;
    UnsupportedVideoFormat = "unsupported_video_format", 400, "invalid_request_error", Never;
    VideoTooLarge = "video_too_large", 400, "invalid_request_error", Never;
    VideoTooLong = "video_too_long", 400, "invalid_request_error", Never;
    CallbackUrlNotAllowed = "callback_url_not_allowed", 400, "invalid_request_error", Never;
    ContentPolicyViolation = "content_policy_violation", 400, "invalid_request_error", Never;
    InvalidIdempotencyKey = "invalid_idempotency_key", 400, "invalid_request_error", Never;
    InvalidApiKey = "invalid_api_key", 401, "invalid_request_error", Never;
    ExpiredApiKey = "expired_api_key", 401, "invalid_request_error", Never;
    InvalidToken = "invalid_token", 401, "invalid_request_error", Never;
    TokenExpired = "token_expired", 401, "invalid_request_error", Never;
    MismatchedOrganization = "mismatched_organization", 401, "invalid_request_error", Never;
    MismatchedProject = "mismatched_project", 401, "invalid_request_error", Never;
    InsufficientScope = "insufficient_scope", 403, "permission_error", Never;
    ProjectArchived = "project_archived", 403, "permission_error", Never;
    OrganizationSuspended = "organization_suspended", 403, "permission_error", Never;
    IpNotAllowed = "ip_not_allowed", 403, "permission_error", Never;
    VideoNotFound = "video_not_found", 404, "invalid_request_error", Never;
    FileNotFound = "file_not_found", 404, "invalid_request_error", Never;
    CharacterNotFound = "character_not_found", 404, "invalid_request_error", Never;
    ResourceNotFound = "resource_not_found", 404, "invalid_request_error", Never;
    ModelNotFound = "model_not_found", 404, "invalid_request_error", Never;
    VideoExpired = "video_expired", 404, "invalid_request_error", Never;
    VideoNotAvailable = "video_not_available", 404, "invalid_request_error", Never;
    AssetNotAvailable = "variant_not_available", 404, "invalid_request_error", Never;
    SourceUnavailable = "source_unavailable", 404, "invalid_request_error", Never;
    UnknownUrl = "unknown_url", 404, "invalid_request_error", Never;
    MethodNotAllowed = "method_not_allowed", 405, "invalid_request_error", Never;
    VideoInProgress = "video_in_progress", 409, "invalid_request_error", Never;
    VideoNotReady = "video_not_ready", 409, "invalid_request_error", Never;
    VideoNotCancellable = "video_not_cancellable", 409, "invalid_request_error", Never;
    SourceNotReady = "source_not_ready", 409, "invalid_request_error", Never;
    IdempotencyKeyInUse = "idempotency_key_in_use", 409, "invalid_request_error", Always;
    RequestTooLarge = "request_too_large", 413, "invalid_request_error", Never;
    UnsupportedMediaType = "unsupported_media_type", 415, "invalid_request_error", Never;
    RangeNotSatisfiable = "range_not_satisfiable", 416, "invalid_request_error", Never;
    IdempotencyKeyReused = "idempotency_key_reused", 422, "invalid_request_error", Never;
    RateLimitExceeded = "rate_limit_exceeded", 429, "rate_limit_error", Always;
    ConcurrencyLimitExceeded = "concurrency_limit_exceeded", 429, "rate_limit_error", Always;
    InsufficientQuota = "insufficient_quota", 429, "insufficient_quota", Never;
    /// Nothing was admitted yet: the same request may be sent again.
    InternalError = "internal_error", 500, "server_error", Always;
    ServerIsOverloaded = "server_is_overloaded", 503, "service_unavailable_error", Always;
    ServerDraining = "server_draining", 503, "service_unavailable_error", Always;
}
