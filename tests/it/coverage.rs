//! No operation of the API is forgotten: each is described alike, and each is asked for in a test.

use std::fs;
use std::path::{Path, PathBuf};

use reqwest::Method;
use serde_json::Value;

const METHODS: [Method; 6] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

/// Every operation of the document: method, path, description.
pub(crate) fn operations() -> Vec<(Method, String, Value)> {
    let document = serde_json::to_value(wanserve::api::openapi()).unwrap();
    let paths = document["paths"].as_object().unwrap().clone();
    let all = paths.into_iter().flat_map(|(path, item)| {
        METHODS.into_iter().filter_map(move |method| {
            let operation = item.get(method.as_str().to_lowercase())?.clone();
            Some((method, path.clone(), operation))
        })
    });
    all.collect()
}

#[test]
fn every_operation_is_described_alike() {
    let mut ids = Vec::new();
    for (method, path, operation) in operations() {
        let id = operation["operationId"]
            .as_str()
            .unwrap_or_else(|| panic!("{method} {path} has no id"))
            .to_owned();
        assert!(operation["summary"].is_string() && operation["tags"][0].is_string(), "{id}");
        if path.starts_with("/v1/") {
            for status in ["400", "401", "403", "404", "429", "500", "503"] {
                let schema = &operation["responses"][status]["content"]["application/json"]["schema"]["$ref"];
                assert_eq!(schema, "#/components/schemas/ErrorResponse", "{id} {status}");
            }
            assert!(
                operation["responses"]["200"].is_object() || operation["responses"]["400"].is_object(),
                "{id}"
            );
        }
        assert!(!ids.contains(&id), "{id} twice");
        ids.push(id);
    }
}

#[test]
fn every_path_is_asked_for_in_a_test() {
    let tests: String = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it"))
        .into_iter()
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    for (_, path, _) in operations() {
        let tail = path.rsplit('}').next().unwrap();
        let tail = if tail.is_empty() { path.split('{').next().unwrap().trim_end_matches('/') } else { tail };
        assert!(tests.contains(tail), "no test asks for {path}");
    }
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}
