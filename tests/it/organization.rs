//! What an administrator does: projects, service accounts, keys and their rotation.

use serde_json::{Value, json};
use wanserve::domain::clock::Random;
use wanserve::domain::id::OrganizationId;
use wanserve::domain::key::{KeyOwner, Scope};
use wanserve::scheduler::SystemRandom;

use crate::support::{Client, TestApp};

const PROJECTS: &str = "/v1/organization/projects";

async fn admin(app: &TestApp, scopes: Vec<Scope>) -> Client {
    let organization = OrganizationId::new(1, SystemRandom.id_bytes());
    app.client_with(&app.key_of(KeyOwner::Admin { organization }, scopes).await)
}

async fn project(admin: &Client, name: &str) -> String {
    let answer = admin.post(PROJECTS, json!({ "name": name })).await;
    assert_eq!((answer.status, &answer.json()["object"]), (200, &json!("organization.project")));
    answer.id()
}

async fn account(admin: &Client, project: &str) -> Value {
    let path = format!("{PROJECTS}/{project}/service_accounts");
    let account = admin.post(&path, json!({ "name": "backend" })).await.json();
    assert_eq!(
        admin.get(&format!("{path}/{}", account["id"].as_str().unwrap())).await.json()["name"],
        "backend"
    );
    account
}

#[tokio::test]
async fn a_key_made_by_an_administrator_works_until_it_is_revoked() {
    let app = TestApp::start().await;
    let admin = admin(&app, vec![Scope::All]).await;
    let project = project(&admin, "demo").await;
    let account = account(&admin, &project).await;
    assert_eq!((&account["role"], &account["api_key"]["name"]), (&json!("member"), &json!("backend")));
    let first = app.client_with(account["api_key"]["value"].as_str().unwrap());
    assert_eq!(first.submit().await.len(), 38);

    let path = format!("{PROJECTS}/{project}/service_accounts/{}/api_keys", account["id"].as_str().unwrap());
    let body = json!({ "name": "reader", "scopes": ["videos.read"], "expires_in_seconds": 3600 });
    let made = admin.post(&path, body).await.json();
    assert_eq!(made["expires_at"].as_u64().unwrap() - made["created_at"].as_u64().unwrap(), 3600);
    let reader = app.client_with(made["value"].as_str().unwrap());
    assert_eq!(reader.get("/v1/videos").await.json()["data"].as_array().unwrap().len(), 1);
    let refused = reader.post("/v1/videos/generations", json!({ "prompt": "x" })).await;
    assert_eq!(refused.refusal(), (403, "insufficient_scope".to_owned()));
    assert_eq!(reader.get(PROJECTS).await.refusal(), (403, "insufficient_scope".to_owned()));

    let keys = format!("{PROJECTS}/{project}/api_keys");
    let list = admin.get(&format!("{keys}?limit=1")).await.json();
    assert_eq!((list["data"].as_array().unwrap().len(), &list["has_more"]), (1, &json!(true)));
    let shown = &list["data"][0];
    assert_eq!((&shown["id"], &shown["scopes"]), (&made["id"], &json!(["videos.read"])));
    assert!(shown["value"].is_null() && shown["redacted_value"].as_str().unwrap().contains('…'));
    assert_eq!(shown["owner"]["service_account"]["id"], account["id"]);

    let key = format!("{keys}/{}", made["id"].as_str().unwrap());
    let gone = admin.delete(&key).await.json();
    assert_eq!(
        gone,
        json!({ "id": made["id"], "object": "organization.project.api_key.deleted", "deleted": true })
    );
    assert_eq!(reader.get("/v1/videos").await.refusal(), (401, "invalid_api_key".to_owned()));
    assert_eq!(admin.get(&key).await.json()["status"], "revoked");
    assert_eq!(admin.delete(&key).await.refusal(), (404, "resource_not_found".to_owned()));
}

#[tokio::test]
async fn a_rotated_key_overlaps_as_long_as_wanted() {
    let app = TestApp::start().await;
    let admin = admin(&app, vec![Scope::All]).await;
    let project = project(&admin, "demo").await;
    let first = account(&admin, &project).await["api_key"].clone();
    let rotate = |id: &Value| format!("{PROJECTS}/{project}/api_keys/{}/rotate", id.as_str().unwrap());
    let second = admin.post(&rotate(&first["id"]), json!({ "overlap_seconds": 60 })).await.json();
    for key in [&first, &second] {
        assert_eq!(app.client_with(key["value"].as_str().unwrap()).get("/v1/videos").await.status, 200);
    }
    let third = admin.post(&rotate(&second["id"]), json!({})).await.json();
    let old = app.client_with(second["value"].as_str().unwrap()).get("/v1/videos").await;
    assert_eq!(old.refusal(), (401, "invalid_api_key".to_owned()));
    assert_eq!(app.client_with(third["value"].as_str().unwrap()).get("/v1/videos").await.status, 200);
    let long = admin.post(&rotate(&third["id"]), json!({ "overlap_seconds": 604_801 })).await.error();
    assert_eq!(long, (400, "invalid_value".to_owned(), Some("overlap_seconds".to_owned())));
}

#[tokio::test]
async fn an_archived_project_is_closed() {
    let app = TestApp::start().await;
    let admin = admin(&app, vec![Scope::All]).await;
    let id = project(&admin, "old").await;
    let other = project(&admin, "new").await;
    let account = account(&admin, &id).await;
    let client = app.client_with(account["api_key"]["value"].as_str().unwrap());
    client.submit().await;
    let renamed = admin.post(&format!("{PROJECTS}/{id}"), json!({ "name": "older" })).await.json();
    assert_eq!((&renamed["name"], &renamed["status"]), (&json!("older"), &json!("active")));
    let archived = admin.post_empty(&format!("{PROJECTS}/{id}/archive")).await.json();
    assert!(archived["status"] == "archived" && archived["archived_at"].is_u64());
    assert_eq!(client.get("/v1/videos").await.refusal(), (401, "invalid_api_key".to_owned()));
    let late = admin.post(&format!("{PROJECTS}/{id}/service_accounts"), json!({ "name": "x" })).await;
    assert_eq!(late.refusal(), (403, "project_archived".to_owned()));
    let ids = |page: &Value| -> Vec<String> {
        page["data"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&admin.get(PROJECTS).await.json()), std::slice::from_ref(&other));
    let all = admin.get(&format!("{PROJECTS}?include_archived=true")).await.json();
    let mut both = [id, other];
    both.sort();
    let mut seen = ids(&all);
    seen.sort();
    assert_eq!(seen, both);
}

#[tokio::test]
async fn one_organization_does_not_see_another() {
    let app = TestApp::start().await;
    let id = project(&admin(&app, vec![Scope::All]).await, "mine").await;
    let other = admin(&app, vec![Scope::All]).await;
    for path in [
        format!("{PROJECTS}/{id}"),
        format!("{PROJECTS}/{id}/service_accounts"),
        format!("{PROJECTS}/{id}/api_keys"),
        format!("{PROJECTS}/proj_x"),
    ] {
        assert_eq!(other.get(&path).await.refusal(), (404, "resource_not_found".to_owned()), "{path}");
    }
    assert_eq!(other.get(PROJECTS).await.json()["data"], json!([]));
    let reader = admin(&app, vec![Scope::OrganizationRead]).await;
    assert_eq!(reader.get(PROJECTS).await.status, 200);
    let refused = reader.post(PROJECTS, json!({ "name": "x" })).await;
    assert_eq!(refused.refusal(), (403, "insufficient_scope".to_owned()));
    let writer = admin(&app, vec![Scope::All]).await;
    for (body, code) in [
        (json!({}), "missing_required_parameter"),
        (json!({ "name": " " }), "invalid_value"),
        (json!({ "name": 5 }), "invalid_type"),
    ] {
        let seen = writer.post(PROJECTS, body).await.error();
        assert_eq!(seen, (400, code.to_owned(), Some("name".to_owned())));
    }
}
