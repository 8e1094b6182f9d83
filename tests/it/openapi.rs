//! The committed OpenAPI documents are those that the code makes.
//! To renew them: `just openapi`.

use std::fs;
use std::path::Path;

use utoipa::openapi::OpenApi;

#[test]
fn the_committed_document_equals_the_codes() {
    same("openapi.json", &wanserve::api::openapi());
}

#[test]
fn the_committed_document_for_operators_equals_the_codes() {
    same("operator.json", &wanserve::app::operator_openapi());
}

fn same(name: &str, document: &OpenApi) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi").join(name);
    let made = format!("{}\n", document.to_pretty_json().expect("the document is plain data"));
    let committed = fs::read_to_string(&path).unwrap_or_default();
    if committed != made {
        let fresh = path.with_extension("json.new");
        fs::write(&fresh, made).expect("the folder can be written");
        panic!("openapi/{name} is out of date; the document of the code is in {}", fresh.display());
    }
}

/// The index of the contract. What is not built is there too, as a refusal; the operator's API is another document.
const ENDPOINTS: [(&str, &[&str]); 42] = [
    ("/v1/videos", &["get", "post"]),
    ("/v1/videos/{video_id}", &["delete", "get"]),
    ("/v1/videos/{video_id}/content", &["get", "head"]),
    ("/v1/videos/{video_id}/remix", &["post"]),
    ("/v1/videos/edits", &["post"]),
    ("/v1/videos/extensions", &["post"]),
    ("/v1/videos/characters", &["post"]),
    ("/v1/videos/characters/{character_id}", &["get"]),
    ("/v1/videos/generations", &["post"]),
    ("/v1/videos/from-image", &["post"]),
    ("/v1/videos/{video_id}/cancel", &["post"]),
    ("/v1/videos/{video_id}/events", &["get"]),
    ("/v1/videos/{video_id}/download_url", &["get"]),
    ("/v1/files", &["get", "post"]),
    ("/v1/files/{file_id}", &["delete", "get"]),
    ("/v1/files/{file_id}/content", &["get"]),
    ("/v1/models", &["get"]),
    ("/v1/models/{model}", &["get"]),
    ("/v1/webhook_endpoints", &["get", "post"]),
    ("/v1/webhook_endpoints/{endpoint_id}", &["delete", "get", "post"]),
    ("/v1/webhook_deliveries", &["get"]),
    ("/v1/usage", &["get"]),
    ("/v1/limits", &["get"]),
    ("/v1/tokens", &["post"]),
    ("/v1/organization/projects", &["get", "post"]),
    ("/v1/organization/projects/{project_id}", &["get", "post"]),
    ("/v1/organization/projects/{project_id}/archive", &["post"]),
    ("/v1/organization/projects/{project_id}/service_accounts", &["get", "post"]),
    (
        "/v1/organization/projects/{project_id}/service_accounts/{service_account_id}",
        &["delete", "get", "post"],
    ),
    ("/v1/organization/projects/{project_id}/service_accounts/{service_account_id}/api_keys", &["post"]),
    ("/v1/organization/projects/{project_id}/api_keys", &["get"]),
    ("/v1/organization/projects/{project_id}/api_keys/{api_key_id}", &["delete", "get"]),
    ("/v1/organization/projects/{project_id}/api_keys/{api_key_id}/rotate", &["post"]),
    ("/v1/organization/projects/{project_id}/rate_limits", &["get"]),
    ("/v1/organization/projects/{project_id}/rate_limits/{rate_limit_id}", &["post"]),
    ("/v1/organization/admin_api_keys", &["get", "post"]),
    ("/v1/organization/admin_api_keys/{key_id}", &["delete", "get"]),
    ("/v1/organization/audit_logs", &["get"]),
    ("/v1/organization/usage/videos", &["get"]),
    ("/healthz", &["get"]),
    ("/readyz", &["get"]),
    ("/.well-known/jwks.json", &["get"]),
];

#[test]
fn every_endpoint_of_the_contract_is_in_the_document() {
    let document = serde_json::to_value(wanserve::api::openapi()).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    let missing: Vec<_> = ENDPOINTS
        .iter()
        .flat_map(|(path, methods)| methods.iter().map(move |method| (path, method)))
        .filter(|(path, method)| !document["paths"][path][method].is_object())
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn what_is_not_json_is_described_as_bytes_or_text() {
    let document = serde_json::to_value(wanserve::api::openapi()).unwrap();
    let schemas = &document["components"]["schemas"];
    let contents = document["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|item| item.as_object().unwrap().values())
        .flat_map(|operation| operation["responses"].as_object().unwrap().values())
        .filter_map(|response| response["content"].as_object());
    let mut seen = 0;
    for (kind, content) in contents.flatten().filter(|(kind, _)| *kind != "application/json") {
        let schema = &content["schema"];
        let name = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/components/schemas/"));
        let schema = name.map_or(schema, |name| &schemas[name]);
        let text = kind.starts_with("text/");
        assert!(schema["type"] == "string" && (text || schema["format"] == "binary"), "{kind}: {schema}");
        seen += 1;
    }
    assert!(seen > 10, "{seen}");
}

/// The same for the operator's document.
const OPERATOR_ENDPOINTS: [(&str, &[&str]); 12] = [
    ("/admin/v1/organizations", &["get", "post"]),
    ("/admin/v1/organizations/{organization_id}", &["get", "post"]),
    ("/admin/v1/workers", &["get"]),
    ("/admin/v1/workers/{worker}", &["get"]),
    ("/admin/v1/workers/{worker}/restart", &["post"]),
    ("/admin/v1/workers/{worker}/load", &["post"]),
    ("/admin/v1/workers/{worker}/unload", &["post"]),
    ("/admin/v1/workers/{worker}/drain", &["post"]),
    ("/admin/v1/workers/{worker}/resume", &["post"]),
    ("/admin/v1/queue", &["get"]),
    ("/admin/v1/signing_keys/rotate", &["post"]),
    ("/admin/v1/tokens", &["post"]),
];

#[test]
fn every_endpoint_of_the_operator_is_in_its_document() {
    let document = serde_json::to_value(wanserve::app::operator_openapi()).unwrap();
    for (path, methods) in OPERATOR_ENDPOINTS {
        for method in methods {
            assert!(document["paths"][path][method]["summary"].is_string(), "{method} {path}");
        }
    }
}
