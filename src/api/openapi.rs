//! The OpenAPI document: what the annotations of the routes say, and what is true of all of them said once.

use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, Info, License, OpenApi, Ref, RefOr, Required, Response, ResponseBuilder, Server,
};
use utoipa::{PartialSchema, ToSchema};

use super::errors::{ErrorBody, ErrorResponse};

/// Errors that every authenticated route can answer.
const COMMON_ERRORS: [(&str, &str); 9] = [
    ("400", "The request is wrong; `param` and `code` say how."),
    ("401", "No valid key."),
    ("403", "The key lacks a scope."),
    ("404", "No such thing, or not yours."),
    ("405", "The path has other methods; see `Allow`."),
    ("409", "The state of the resource does not allow it."),
    ("429", "Too much; see `retry-after`."),
    ("500", "The server failed."),
    ("503", "The server is overloaded or stopping; see `retry-after`."),
];

/// Errors of routes with a body.
const BODY_ERRORS: [(&str, &str); 2] =
    [("413", "The body is too large."), ("415", "The route takes other media types.")];

/// Operations that make a job.
const CREATES: [&str; 4] =
    ["createVideo", "createVideoGeneration", "createVideoFromImage", "CreateVideoRemix"];

/// Operations that answer a job that there was.
const JOBS: [&str; 2] = ["GetVideo", "cancelVideo"];

/// Operations that answer the bytes of a file, whole or in part.
const FILES: [&str; 5] =
    ["RetrieveVideoContent", "headVideoContent", "downloadSigned", "headDownloadSigned", "downloadFile"];

/// What every POST can answer besides.
const POST_ERRORS: [(&str, &str); 1] = [("422", "The idempotency key was used with another request.")];

/// What every POST may be asked with.
const POST_PARAMETERS: [(&str, &str, &str); 1] = [(
    "Idempotency-Key",
    "1 to 255 printable ASCII characters; a repetition is answered what the first request was.",
    "a-key-of-yours",
)];

/// What a create may be asked with.
const CREATE_PARAMETERS: [(&str, &str, &str); 1] =
    [("Prefer", "`wait=N`: answer when the job is over, or after N seconds, 60 at most.", "wait=30")];

/// What the answer to a POST carries.
const POST_HEADERS: [(&str, &str, bool); 1] =
    [("idempotent-replayed", "`true` where the request was recognised as a repetition.", false)];

/// What an answer carries that is a job, made or told.
const JOB_HEADERS: [(&str, &str, bool); 2] = [
    ("preference-applied", "`wait=N` where the answer waited.", false),
    ("openai-poll-after-ms", "When to look again; absent once the job is over.", true),
];

/// What the answer to a create carries besides.
const CREATE_HEADERS: [(&str, &str, bool); 2] = [
    ("location", "The path of the job.", false),
    ("x-accel-buffering", "`no` where the answer is a stream of events.", false),
];

/// What a file and a part of it carry.
const FILE_HEADERS: [(&str, &str, bool); 5] = [
    ("etag", "The SHA-256 of the whole file.", false),
    ("accept-ranges", "`bytes`.", false),
    ("last-modified", "When the file was made.", false),
    ("content-disposition", "A name to save it under.", false),
    ("cache-control", "Until the file expires, an hour at most.", false),
];
const RANGE_HEADERS: [(&str, &str, bool); 1] =
    [("content-range", "Which bytes of how many; `bytes */N` where there are none such.", false)];

/// Headers of every answer, with what they say; integers are marked.
const EVERYWHERE: [(&str, &str, bool); 2] = [
    ("x-content-type-options", "`nosniff`.", false),
    ("x-request-id", "Names the request in logs and to the SDKs.", false),
];

/// Headers of every answer under `/v1`.
const HEADERS: [(&str, &str, bool); 15] = [
    ("cache-control", "`no-store`, except for files.", false),
    ("openai-processing-ms", "Time spent on the answer.", true),
    ("openai-version", "Version of OpenAI's API that is followed.", false),
    ("openai-organization", "The key's organization.", false),
    ("openai-project", "The key's project.", false),
    ("x-ratelimit-limit-requests", "Requests a minute of this class of routes.", true),
    ("x-ratelimit-remaining-requests", "Requests that are left now.", true),
    ("x-ratelimit-reset-requests", "Until all are there again, such as `1.5s`.", false),
    ("x-ratelimit-limit-jobs", "Jobs that may be queued or running.", true),
    ("x-ratelimit-remaining-jobs", "Jobs that are left now.", true),
    (
        "x-ratelimit-limit-gpu-seconds",
        "GPU-seconds that may be charged in the window with the least left.",
        true,
    ),
    ("x-ratelimit-remaining-gpu-seconds", "GPU-seconds that are left in it.", true),
    ("x-ratelimit-reset-gpu-seconds", "Until it begins anew, such as `5h12m0s`.", false),
    ("ratelimit-policy", "The limits as a structured field.", false),
    ("ratelimit", "What is left as a structured field.", false),
];

/// Headers of errors that tell the SDKs what to do.
const ERROR_HEADERS: [(&str, &str, bool); 3] = [
    ("x-should-retry", "`true` or `false`: whether to send the same request again.", false),
    ("retry-after", "Seconds to wait.", true),
    ("retry-after-ms", "Milliseconds to wait.", true),
];

/// Completes the document that the routes make.
pub(crate) fn complete(mut document: OpenApi) -> OpenApi {
    let description = "Text and pictures become video. Follows OpenAI's Videos API; what goes beyond it is marked by no name of theirs.";
    introduce(&mut document, "wanserve", description, &["bearerAuth", "adminBearer", "metricsToken"]);
    for (path, item) in &mut document.paths.paths {
        let v1 = path.starts_with("/v1/");
        if let Some(post) = item.post.as_mut().filter(|_| v1) {
            complete_post(post);
        }
        let operations =
            [&mut item.get, &mut item.head, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            if v1 {
                add_errors(operation);
            }
            add_all_headers(operation, v1);
        }
    }
    document
}

/// The same for the operator's API.
pub(crate) fn complete_operators(mut document: OpenApi) -> OpenApi {
    let description =
        "What the operator of an installation does: organizations, workers, the queue, signing keys.";
    introduce(&mut document, "wanserve for operators", description, &["operatorBearer"]);
    for (path, item) in &mut document.paths.paths {
        for operation in [&mut item.get, &mut item.post].into_iter().flatten() {
            if path.starts_with("/admin/") {
                add_errors(operation);
            }
            for (status, response) in &mut operation.responses.responses {
                let RefOr::T(response) = response else { continue };
                add_headers(response, &EVERYWHERE);
                if path.starts_with("/admin/") {
                    add_headers(response, &[("cache-control", "`no-store`.", false)]);
                }
                add_headers_of_errors(status, response);
            }
        }
    }
    document
}

/// Title, security and what errors look like. The first scheme is that of every operation that names none.
fn introduce(document: &mut OpenApi, title: &str, description: &str, schemes: &[&str]) {
    let mut info = Info::new(title, env!("CARGO_PKG_VERSION"));
    info.description = Some(description.to_owned());
    info.license = Some(License::new("Apache-2.0"));
    document.info = info;
    document.servers = Some(vec![Server::new("/")]);
    document.security = Some(vec![SecurityRequirement::new(schemes[0], Vec::<String>::new())]);
    let components = document.components.get_or_insert_default();
    components.schemas.insert(ErrorResponse::name().into_owned(), ErrorResponse::schema());
    components.schemas.insert(ErrorBody::name().into_owned(), ErrorBody::schema());
    for scheme in schemes {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.security_schemes.insert((*scheme).to_owned(), SecurityScheme::Http(bearer).into());
    }
}

fn is_one_of(operation: &Operation, ids: &[&str]) -> bool {
    operation.operation_id.as_deref().is_some_and(|id| ids.contains(&id))
}

fn add_errors(operation: &mut Operation) {
    let body_errors = operation.request_body.is_some().then_some(BODY_ERRORS).into_iter().flatten();
    for (status, description) in COMMON_ERRORS.into_iter().chain(body_errors) {
        let existing = operation.responses.responses.get(status);
        let described = existing.and_then(|response| match response {
            RefOr::T(response) => Some(response.description.clone()),
            RefOr::Ref(_) => None,
        });
        let response = error_response(&described.unwrap_or_else(|| description.to_owned()));
        operation.responses.responses.insert(status.to_owned(), RefOr::T(response));
    }
}

fn add_all_headers(operation: &mut Operation, v1: bool) {
    let (creates, files) = (is_one_of(operation, &CREATES), is_one_of(operation, &FILES));
    let is_job = is_one_of(operation, &JOBS);
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        add_headers(response, &EVERYWHERE);
        if v1 {
            add_headers(response, &HEADERS);
        }
        add_headers_of_errors(status, response);
        if files && ["206", "416"].contains(&status.as_str()) {
            add_headers(response, &RANGE_HEADERS);
        }
        match status.as_str() {
            "200" | "206" | "304" if files => add_headers(response, &FILE_HEADERS),
            "200" if creates => {
                add_headers(response, &JOB_HEADERS);
                add_headers(response, &CREATE_HEADERS);
            }
            "200" if is_job => add_headers(response, &JOB_HEADERS),
            _ => {}
        }
    }
}

fn add_headers_of_errors(status: &str, response: &mut Response) {
    if status.starts_with(['4', '5']) {
        add_headers(response, &ERROR_HEADERS);
    }
    match status {
        "401" => add_headers(response, &[("www-authenticate", "`Bearer`.", false)]),
        "405" => add_headers(response, &[("allow", "The methods of the path.", false)]),
        _ => {}
    }
}

fn complete_post(operation: &mut Operation) {
    let creates = is_one_of(operation, &CREATES);
    for (status, description) in POST_ERRORS {
        operation.responses.responses.insert(status.to_owned(), RefOr::T(error_response(description)));
    }
    if let Some(RefOr::T(response)) = operation.responses.responses.get_mut("200") {
        add_headers(response, &POST_HEADERS);
    }
    let of_creates = creates.then_some(CREATE_PARAMETERS).into_iter().flatten();
    let parameters = POST_PARAMETERS.into_iter().chain(of_creates).map(|(name, description, example)| {
        let text = ObjectBuilder::new().schema_type(Type::String).build();
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(description))
            .schema(Some(text))
            .example(Some(example.into()))
            .build();
        RefOr::T(parameter)
    });
    operation.parameters.get_or_insert_default().extend(parameters);
}

fn error_response(description: &str) -> Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(ErrorResponse::name()))).build();
    ResponseBuilder::new().description(description).content("application/json", content).build()
}

fn add_headers(response: &mut Response, headers: &[(&str, &str, bool)]) {
    for (name, description, integer) in headers {
        let kind = if *integer { Type::Integer } else { Type::String };
        let schema = ObjectBuilder::new().schema_type(kind).build();
        let header = HeaderBuilder::new().schema(Some(schema)).description(Some(*description)).build();
        response.headers.insert((*name).to_owned(), header.into());
    }
}

#[cfg(test)]
mod tests {
    use super::super::app::openapi;
    use super::super::body::VIDEO_FIELDS;

    #[test]
    fn the_documented_parameters_are_those_that_are_read() {
        let document = serde_json::to_value(openapi()).unwrap();
        let schema = &document["components"]["schemas"]["VideoParametersInput"]["properties"];
        let mut documented: Vec<_> = schema.as_object().unwrap().keys().map(String::as_str).collect();
        let mut read = VIDEO_FIELDS.to_vec();
        documented.sort_unstable();
        read.sort_unstable();
        assert_eq!(documented, read);
    }
}
