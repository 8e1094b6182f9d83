//! Holds every answer that the tests get against the document: no header that it does not name for that status, and none
//! missing that every such answer carries.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::Value;

/// Headers of the connection and of the body, which a description of an answer leaves out.
const OF_TRANSPORT: [&str; 6] =
    ["content-type", "content-length", "transfer-encoding", "connection", "date", "vary"];

/// The browser's rules stand beside the document: they depend on who asks and from where.
const OF_ORIGINS: &str = "access-control-";

/// What every answer of the API carries, and what every refusal does.
const ALWAYS: [&str; 5] =
    ["x-request-id", "x-content-type-options", "openai-processing-ms", "openai-version", "cache-control"];
const OF_ERRORS: &str = "x-should-retry";

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::to_value(wanserve::api::openapi()).unwrap());

/// Fails where the answer is not as described. What the document does not know is judged elsewhere.
pub(super) fn check(method: &Method, path: &str, status: u16, headers: &HeaderMap) {
    let Some(operation) = operation(method, path) else { return };
    let names: BTreeSet<&str> = headers.keys().map(|name| name.as_str()).collect();
    let described = &operation["responses"][status.to_string()];
    assert!(described.is_object(), "{method} {path}: the document knows no {status}");
    for name in &names {
        let known = OF_TRANSPORT.contains(name)
            || name.starts_with(OF_ORIGINS)
            || described["headers"][*name].is_object();
        assert!(known, "{method} {path} {status}: the document knows no header {name}");
    }
    if path.starts_with("/v1/") {
        let refused = (status >= 400).then_some(OF_ERRORS);
        for name in ALWAYS.into_iter().chain(refused) {
            assert!(names.contains(name), "{method} {path} {status}: {name} is missing");
            assert!(
                described["headers"][name].is_object(),
                "{method} {path} {status}: {name} is not described"
            );
        }
    }
}

/// The operation that the path leads to; one whose segments are all literal before others.
fn operation(method: &Method, path: &str) -> Option<&'static Value> {
    let asked: Vec<&str> = match path.starts_with("/v1/") {
        true => path.trim_end_matches('/').split('/').collect(),
        false => path.split('/').collect(),
    };
    let fits = |template: &str| {
        let own: Vec<&str> = template.split('/').collect();
        own.len() == asked.len()
            && own
                .iter()
                .zip(&asked)
                .all(|(own, asked)| own.starts_with('{') && !asked.is_empty() || own == asked)
    };
    let paths = DOCUMENT["paths"].as_object()?;
    let found = paths.iter().filter(|(template, _)| fits(template));
    let (_, item) = found.min_by_key(|(template, _)| template.matches('{').count())?;
    item.get(method.as_str().to_lowercase())
}
