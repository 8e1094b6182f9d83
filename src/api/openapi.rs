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

/// What creates can answer besides.
const CREATE_ERRORS: [(&str, &str); 1] = [("422", "The idempotency key was used with another request.")];

/// What a create may be asked with.
const CREATE_PARAMETERS: [(&str, &str, &str); 2] = [
    (
        "Idempotency-Key",
        "1 to 255 printable ASCII characters; a repetition answers the same job.",
        "a-key-of-yours",
    ),
    ("Prefer", "`wait=N`: answer when the job is over, or after N seconds, 60 at most.", "wait=30"),
];

/// What the answer to a create carries.
const CREATE_HEADERS: [(&str, &str, bool); 4] = [
    ("location", "The path of the job.", false),
    ("idempotent-replayed", "`true` where the request was recognised as a repetition.", false),
    ("preference-applied", "`wait=N` where the answer waited.", false),
    ("openai-poll-after-ms", "When to look again; absent once the job is over.", true),
];

/// Headers of every answer under `/v1`, with what they say; integers are marked.
const HEADERS: [(&str, &str, bool); 14] = [
    ("cache-control", "`no-store`, except for files.", false),
    ("x-content-type-options", "`nosniff`.", false),
    ("x-request-id", "Names the request in logs and to the SDKs.", false),
    ("openai-processing-ms", "Time spent on the answer.", true),
    ("openai-version", "Version of OpenAI's API that is followed.", false),
    ("openai-organization", "The key's organization.", false),
    ("openai-project", "The key's project.", false),
    ("x-ratelimit-limit-requests", "Requests a minute of this class of routes.", true),
    ("x-ratelimit-remaining-requests", "Requests that are left now.", true),
    ("x-ratelimit-reset-requests", "Until all are there again, such as `1.5s`.", false),
    ("x-ratelimit-limit-jobs", "Jobs that may be queued or running.", true),
    ("x-ratelimit-remaining-jobs", "Jobs that are left now.", true),
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
    let mut info = Info::new("wanserve", env!("CARGO_PKG_VERSION"));
    info.description =
        Some("Text and pictures become video. Follows OpenAI's Videos API; what goes beyond it is marked by no name of theirs.".to_owned());
    info.license = Some(License::new("Apache-2.0"));
    document.info = info;
    document.servers = Some(vec![Server::new("/")]);
    document.security = Some(vec![SecurityRequirement::new("bearerAuth", Vec::<String>::new())]);
    let components = document.components.get_or_insert_default();
    components.schemas.insert(ErrorResponse::name().into_owned(), ErrorResponse::schema());
    components.schemas.insert(ErrorBody::name().into_owned(), ErrorBody::schema());
    for scheme in ["bearerAuth", "adminBearer", "metricsToken"] {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.security_schemes.insert(scheme.to_owned(), SecurityScheme::Http(bearer).into());
    }
    for (path, item) in &mut document.paths.paths {
        if !path.starts_with("/v1/") {
            continue;
        }
        let operations =
            [&mut item.get, &mut item.head, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            complete_operation(operation);
        }
    }
    document
}

fn complete_operation(operation: &mut Operation) {
    let creates = operation.operation_id.as_deref().is_some_and(|id| CREATES.contains(&id));
    let body_errors = operation.request_body.is_some().then_some(BODY_ERRORS).into_iter().flatten();
    let create_errors = creates.then_some(CREATE_ERRORS).into_iter().flatten();
    for (status, description) in COMMON_ERRORS.into_iter().chain(body_errors).chain(create_errors) {
        let existing = operation.responses.responses.get(status);
        let described = existing.and_then(|response| match response {
            RefOr::T(response) => Some(response.description.clone()),
            RefOr::Ref(_) => None,
        });
        let response = error_response(&described.unwrap_or_else(|| description.to_owned()));
        operation.responses.responses.insert(status.to_owned(), RefOr::T(response));
    }
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        add_headers(response, &HEADERS);
        match status.as_str() {
            "200" if creates => add_headers(response, &CREATE_HEADERS),
            "401" => add_headers(response, &[("www-authenticate", "`Bearer`.", false)]),
            "405" => add_headers(response, &[("allow", "The methods of the path.", false)]),
            _ => {}
        }
    }
    if creates {
        let parameters = CREATE_PARAMETERS.map(|(name, description, example)| {
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
}

fn error_response(description: &str) -> Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(ErrorResponse::name()))).build();
    let mut response =
        ResponseBuilder::new().description(description).content("application/json", content).build();
    add_headers(&mut response, &ERROR_HEADERS);
    response
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
