//! What the operator of an installation does with tenants, against the started program without workers.

use reqwest::Method;
use serde_json::{Value, json};

use super::program::{Http, Program, operator_key};

const ORGANIZATIONS: &str = "/admin/v1/organizations";

#[tokio::test]
async fn an_organization_is_made_limited_suspended_and_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(folder.path(), &[("WANSERVE_WORKERS_DEVICES", "none")]);
    let operator = Http::new(&program.admin, &operator_key(folder.path()));
    let made = operator.json(Method::POST, ORGANIZATIONS, Some(json!({ "name": "acme" }))).await;
    let path = format!("{ORGANIZATIONS}/{}", made["id"].as_str().unwrap());
    let admin = Http::new(&program.base, made["admin_api_key"]["value"].as_str().unwrap());
    let project = admin.json(Method::POST, "/v1/organization/projects", Some(json!({ "name": "p" }))).await;
    let accounts = format!("/v1/organization/projects/{}/service_accounts", project["id"].as_str().unwrap());
    let account = admin.json(Method::POST, &accounts, Some(json!({ "name": "a" }))).await;
    let client = Http::new(&program.base, account["api_key"]["value"].as_str().unwrap());

    let limits = json!({ "limits": { "max_gpu_seconds_per_1_day": 1 } });
    operator.json(Method::POST, &path, Some(limits)).await;
    let create = json!({ "prompt": "x" });
    assert_eq!(client.status("/v1/videos/generations", &create).await, 429, "a job is expected to take 5 s");
    operator
        .json(Method::POST, &path, Some(json!({ "limits": { "max_gpu_seconds_per_1_day": null } })))
        .await;
    assert_eq!(client.status("/v1/videos/generations", &create).await, 200);

    let suspended = operator.json(Method::POST, &path, Some(json!({ "status": "suspended" }))).await;
    assert_eq!((&suspended["status"], &suspended["name"]), (&json!("suspended"), &json!("acme")));
    client.until_status("/v1/videos", 403).await;
    admin.until_status("/v1/organization/projects", 403).await;
    operator.json(Method::POST, &path, Some(json!({ "status": "active" }))).await;
    client.until_status("/v1/videos", 200).await;
    let log =
        admin.json(Method::GET, "/v1/organization/audit_logs?event_types=organization.updated", None).await;
    assert_eq!(log["data"].as_array().map(Vec::len), Some(4));
    assert_eq!(log["data"][0]["actor"]["type"], "operator");

    for body in [json!({}), json!({ "name": " " }), json!({ "name": "x", "colour": "red" })] {
        assert_eq!(operator.status(ORGANIZATIONS, &body).await, 400, "{body}");
    }
    assert_eq!(operator.status(&format!("{ORGANIZATIONS}/org_x"), &json!({})).await, 404);
    assert_eq!(admin.status("/admin/v1/organizations", &json!({})).await, 404, "another listener");
}

#[tokio::test]
async fn a_token_of_the_operator_opens_for_minutes_and_ends_when_keys_rotate_twice() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(folder.path(), &[("WANSERVE_WORKERS_DEVICES", "none")]);
    let operator = Http::new(&program.admin, &operator_key(folder.path()));
    let body = Some(json!({ "expires_in_seconds": 60 }));
    let made = operator.json(Method::POST, "/admin/v1/tokens", body).await;
    let text = made["token"].as_str().unwrap();
    let holder = Http::new(&program.admin, text);
    assert!(holder.json(Method::GET, "/admin/v1/workers", None).await["data"].is_array());
    assert_eq!(holder.status("/admin/v1/tokens", &json!({})).await, 403, "a token makes no token");
    assert_eq!(operator.status("/admin/v1/tokens", &json!({ "expires_in_seconds": 901 })).await, 400);
    let public = Http::new(&program.base, text);
    assert_eq!(public.bytes("/v1/videos", ("accept", "*/*")).await.0, 401, "it is for the operator's API");
    let minted = Http::new(&program.base, &program.key())
        .json(Method::POST, "/v1/tokens", Some(json!({ "scopes": ["videos.read"] })))
        .await;
    let visitor = Http::new(&program.admin, minted["token"].as_str().unwrap());
    assert_eq!(visitor.bytes("/admin/v1/workers", ("accept", "*/*")).await.0, 401, "it is for videos");
    let kid = |keys: &Value| keys["keys"].as_array().unwrap().len();
    let rotate = || operator.json(Method::POST, "/admin/v1/signing_keys/rotate", None);
    rotate().await;
    assert_eq!(kid(&public.json(Method::GET, "/.well-known/jwks.json", None).await), 2);
    assert!(holder.json(Method::GET, "/admin/v1/workers", None).await["data"].is_array());
    rotate().await;
    holder.until_status("/admin/v1/workers", 401).await;
}
