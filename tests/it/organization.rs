//! What an administrator does: projects, service accounts, keys and their rotation.

use reqwest::Method;
use serde_json::{Value, json};
use wanserve::domain::clock::Random;
use wanserve::domain::id::OrganizationId;
use wanserve::domain::key::{KeyOwner, Scope};
use wanserve::scheduler::SystemRandom;

use crate::support::{Answer, CLIP, Client, Script, THUMBNAIL, TestApp};

pub(crate) const PROJECTS: &str = "/v1/organization/projects";

pub(crate) async fn admin(app: &TestApp, scopes: Vec<Scope>) -> Client {
    let organization = OrganizationId::new(1, SystemRandom.id_bytes());
    app.client_with(&app.key_of(KeyOwner::Admin { organization }, scopes).await)
}

pub(crate) async fn project(admin: &Client, name: &str) -> String {
    let answer = admin.post(PROJECTS, json!({ "name": name })).await;
    assert_eq!((answer.status, &answer.json()["object"]), (200, &json!("organization.project")));
    answer.id()
}

pub(crate) async fn account(admin: &Client, project: &str) -> Value {
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

#[tokio::test]
async fn limits_are_set_by_administrators_and_hold_at_once() {
    let app = TestApp::start().await;
    let admin = admin(&app, vec![Scope::All]).await;
    let project = project(&admin, "demo").await;
    let client = app.client_with(account(&admin, &project).await["api_key"]["value"].as_str().unwrap());
    client.submit().await;
    let limits = format!("{PROJECTS}/{project}/rate_limits");
    let list = admin.get(&limits).await.json();
    assert_eq!(
        (&list["data"][0]["id"], &list["data"][1]["id"]),
        (&json!("rl_default"), &json!("rl_wan-tiny"))
    );
    let default = format!("{limits}/rl_default");
    let set = |body: Value| admin.post(&default, body);
    let answer = set(json!({ "max_requests_per_1_minute": 1, "max_active_jobs": 3 })).await.json();
    assert_eq!(
        (&answer["object"], &answer["max_tokens_per_1_minute"]),
        (&json!("project.rate_limit"), &json!(0))
    );
    assert_eq!(client.post("/v1/videos/generations", json!({ "prompt": "x" })).await.status, 200);
    let refused = client.post("/v1/videos/generations", json!({ "prompt": "x" })).await;
    assert_eq!(refused.refusal(), (429, "rate_limit_exceeded".to_owned()));
    set(json!({ "max_requests_per_1_minute": null })).await;
    client.submit().await;
    let full = client.post("/v1/videos/generations", json!({ "prompt": "x" })).await;
    assert_eq!(full.refusal(), (429, "concurrency_limit_exceeded".to_owned()), "what is absent stays");
    set(json!({ "max_active_jobs": null })).await;
    let model = format!("{limits}/rl_wan-tiny");
    admin.post(&model, json!({ "max_active_jobs": 4 })).await;
    client.submit().await;
    let full = client.post("/v1/videos/generations", json!({ "prompt": "x" })).await;
    assert_eq!(full.refusal(), (429, "concurrency_limit_exceeded".to_owned()), "the stricter one wins");
    let shown = client.get("/v1/limits").await.json();
    assert_eq!(
        (&shown["data"][0]["max_active_jobs"], &shown["data"][1]["max_active_jobs"]),
        (&Value::Null, &json!(4))
    );
    for (path, body, code, param) in [
        ("rl_default", json!({ "max_active_jobs": 0 }), "invalid_value", "max_active_jobs"),
        (
            "rl_default",
            json!({ "max_tokens_per_1_minute": 5 }),
            "unsupported_parameter",
            "max_tokens_per_1_minute",
        ),
        ("rl_wan-tiny", json!({ "max_running_jobs": 5 }), "unsupported_parameter", "max_running_jobs"),
        ("rl_default", json!({ "most": 5 }), "unknown_parameter", "most"),
    ] {
        let seen = admin.post(&format!("{limits}/{path}"), body).await.error();
        assert_eq!(seen, (400, code.to_owned(), Some(param.to_owned())));
    }
}

#[tokio::test]
async fn administrators_have_keys_of_their_own() {
    let app = TestApp::start().await;
    let admin = admin(&app, vec![Scope::All]).await;
    let path = "/v1/organization/admin_api_keys";
    let made = admin
        .post(path, json!({ "name": "reader", "scopes": ["org.read"], "expires_in_seconds": 60 }))
        .await
        .json();
    assert_eq!(made["object"], "organization.admin_api_key");
    let reader = app.client_with(made["value"].as_str().unwrap());
    assert_eq!(reader.get(PROJECTS).await.status, 200);
    assert_eq!(
        reader.post(PROJECTS, json!({ "name": "x" })).await.refusal(),
        (403, "insufficient_scope".to_owned())
    );
    let id = made["id"].as_str().unwrap();
    let shown = admin.get(&format!("{path}/{id}")).await.json();
    assert!(shown["value"].is_null() && shown["redacted_value"].as_str().unwrap().starts_with("vk_admin_"));
    assert_eq!(admin.get(path).await.json()["data"].as_array().unwrap().len(), 2, "and the first one");
    assert_eq!(
        admin.delete(&format!("{path}/{id}")).await.json()["object"],
        "organization.admin_api_key.deleted"
    );
    assert_eq!(reader.get(PROJECTS).await.refusal(), (401, "invalid_api_key".to_owned()));
    assert_eq!(admin.delete(&format!("{path}/{id}")).await.refusal(), (404, "resource_not_found".to_owned()));
    let wrong = admin.post(path, json!({ "name": "x", "scopes": ["videos.read"] })).await.error();
    assert_eq!(wrong, (400, "invalid_value".to_owned(), Some("scopes".to_owned())));
}

#[tokio::test]
async fn every_change_is_written_down() {
    let app = TestApp::start().await;
    let admin = admin(&app, vec![Scope::All]).await;
    let project = project(&admin, "demo").await;
    let account = account(&admin, &project).await;
    let key = account["api_key"]["id"].as_str().unwrap();
    let path = format!("{PROJECTS}/{project}");
    admin.post(&path, json!({ "name": "other" })).await;
    admin.post(&format!("{path}/rate_limits/rl_default"), json!({ "max_active_jobs": 5 })).await;
    admin.post(&format!("{path}/api_keys/{key}/rotate"), json!({})).await;
    admin.post_empty(&format!("{path}/archive")).await;
    let kinds = |page: &Value| -> Vec<String> {
        page["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["type"].as_str().unwrap().to_owned())
            .collect()
    };
    let log = "/v1/organization/audit_logs";
    let all = admin.get(&format!("{log}?order=asc")).await.json();
    let mut seen = kinds(&all);
    seen.sort_unstable();
    assert_eq!(
        seen,
        [
            "api_key.created",
            "api_key.rotated",
            "project.archived",
            "project.created",
            "project.updated",
            "rate_limit.updated",
            "service_account.created"
        ]
    );
    let created =
        admin.get(&format!("{log}?event_types[]=api_key.created&project_ids[]={project}")).await.json();
    let entry = &created["data"][0];
    assert_eq!(
        (&entry["resource_id"], &entry["project"]["id"]),
        (&account["api_key"]["id"], &json!(project))
    );
    assert!(entry["actor"]["api_key"]["id"].as_str().unwrap().starts_with("key_"));
    assert!(!all.to_string().contains(account["api_key"]["value"].as_str().unwrap()), "no secret is in it");
    let page = admin.get(&format!("{log}?limit=3")).await.json();
    let next =
        admin.get(&format!("{log}?limit=100&after={}", page["last_id"].as_str().unwrap())).await.json();
    assert_eq!((kinds(&page).len() + kinds(&next).len(), &page["has_more"]), (7, &json!(true)));
    let none = admin.get(&format!("{log}?effective_at[lt]=5")).await.json();
    assert_eq!(none["data"], json!([]));
    let wrong = admin.get(&format!("{log}?event_types=x")).await.error();
    assert_eq!(wrong, (400, "invalid_value".to_owned(), Some("event_types".to_owned())));
}

#[tokio::test]
async fn what_is_done_to_jobs_is_listed_when_it_is_asked_for() {
    let app = TestApp::start().await;
    let admin = admin(&app, vec![Scope::All]).await;
    let project = project(&admin, "demo").await;
    let account = account(&admin, &project).await;
    let client = app.client_with(account["api_key"]["value"].as_str().unwrap());
    let id = client.submit().await;
    client.post_empty(&format!("/v1/videos/{id}/cancel")).await;
    client.post_empty(&format!("/v1/videos/{id}/cancel")).await;
    client.delete(&format!("/v1/videos/{id}")).await;
    let waiting = client.submit().await;
    admin.post_empty(&format!("{PROJECTS}/{project}/archive")).await;

    let log = "/v1/organization/audit_logs";
    let about_jobs = "event_types[]=video.created&event_types[]=video.cancelled&event_types[]=video.deleted";
    let page = admin.get(&format!("{log}?order=asc&{about_jobs}")).await.json();
    let told = |entry: &Value| {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&entry["type"]), text(&entry["resource_id"]), text(&entry["actor"]["api_key"]["id"]))
    };
    let told: Vec<_> = page["data"].as_array().unwrap().iter().map(told).collect();
    let key = account["api_key"]["id"].as_str().unwrap();
    let deeds = |kind: &str, id: &str| (format!("video.{kind}"), id.to_owned());
    assert_eq!(
        told.iter().map(|(kind, id, _)| (kind.clone(), id.clone())).collect::<Vec<_>>(),
        [
            deeds("created", &id),
            deeds("cancelled", &id),
            deeds("deleted", &id),
            deeds("created", &waiting),
            deeds("cancelled", &waiting)
        ]
    );
    assert!(told[..4].iter().all(|(_, _, actor)| actor == key) && told[4].2 != key, "{told:?}");
    let all = admin.get(&format!("{log}?limit=100")).await.json().to_string();
    assert!(!all.contains("video."), "{all}");
}

#[tokio::test]
async fn a_name_is_a_line_of_text() {
    let app = TestApp::start().await;
    let admin = admin(&app, vec![Scope::All]).await;
    for name in ["", "  ", "a\nb", "\u{0}", "\u{1b}[2J", &"n".repeat(129)] {
        let refused = admin.post(PROJECTS, json!({ "name": name })).await.error();
        assert_eq!(refused, (400, "invalid_value".to_owned(), Some("name".to_owned())), "{name:?}");
    }
    for name in ["=1+1", "<b>", "雪", &"雪".repeat(128)] {
        assert_eq!(admin.post(PROJECTS, json!({ "name": name })).await.json()["name"], name);
    }
}

#[tokio::test]
async fn the_same_number_in_other_digits_is_the_same_request_and_null_is_not_nothing() {
    let app = TestApp::start().await;
    let admin = admin(&app, vec![Scope::All]).await;
    let path = format!("{PROJECTS}/{}/rate_limits/rl_default", project(&admin, "demo").await);
    let ask = async |key: &str, body: &'static str| {
        let request = admin.request(Method::POST, &path).header("idempotency-key", key);
        Answer::of(request.header("content-type", "application/json").body(body)).await
    };
    let first = ask("a", r#"{"max_active_jobs":5,"max_running_jobs":1}"#).await;
    let again = ask("a", r#"{ "max_running_jobs": 1, "max_active_jobs": 5.0 }"#).await;
    assert_eq!((first.status, &first.body), (200, &again.body));
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(ask("b", r#"{"max_active_jobs":null}"#).await.status, 200);
    assert_eq!(ask("b", "{}").await.refusal(), (422, "idempotency_key_reused".to_owned()));
}

#[tokio::test]
async fn a_service_account_is_renamed_and_takes_its_keys_with_it() {
    let app = TestApp::start().await;
    let admin = admin(&app, vec![Scope::All]).await;
    let project = project(&admin, "demo").await;
    let made = account(&admin, &project).await;
    let client = app.client_with(made["api_key"]["value"].as_str().unwrap());
    let path = format!("{PROJECTS}/{project}/service_accounts/{}", made["id"].as_str().unwrap());
    assert_eq!(admin.post(&path, json!({ "name": "front end" })).await.json()["name"], "front end");
    assert_eq!(client.get("/v1/videos").await.status, 200);
    let gone = json!({ "id": made["id"], "object": "organization.project.service_account.deleted", "deleted": true });
    assert_eq!(admin.delete(&path).await.json(), gone);
    assert_eq!(client.get("/v1/videos").await.refusal(), (401, "invalid_api_key".to_owned()));
    assert_eq!(admin.get(&path).await.refusal(), (404, "resource_not_found".to_owned()));
}

#[tokio::test]
async fn a_repeated_post_makes_one_key_and_shows_it_again() {
    let app = TestApp::start().await;
    let admin = admin(&app, vec![Scope::All]).await;
    let path = "/v1/organization/admin_api_keys";
    let send = async |client: &Client, key: &str, body: Value| {
        let request = client.request(reqwest::Method::POST, path).header("idempotency-key", key);
        Answer::of(request.json(&body)).await
    };
    let first = send(&admin, "k", json!({ "name": "one", "expires_in_seconds": 60 })).await;
    let again = send(&admin, "\"k\"", json!({ "expires_in_seconds": 60, "name": "one" })).await;
    assert_eq!(
        (first.header("idempotent-replayed"), again.header("idempotent-replayed")),
        (None, Some("true"))
    );
    assert_eq!(again.json(), first.json());
    assert!(
        again.header("openai-organization").is_some()
            && again.header("x-request-id") != first.header("x-request-id")
    );
    let other = send(&admin, "k", json!({ "name": "two" })).await;
    assert_eq!(other.refusal(), (422, "idempotency_key_reused".to_owned()));
    let wrong = send(&admin, "w", json!({ "name": "" })).await;
    assert_eq!(wrong.status, 400);
    assert_eq!(send(&admin, "w", json!({ "name": "three" })).await.status, 200, "a refusal is not kept");
    assert_eq!(
        send(&admin, "é", json!({ "name": "x" })).await.refusal(),
        (400, "invalid_idempotency_key".to_owned())
    );
    assert_eq!(admin.get(path).await.json()["data"].as_array().unwrap().len(), 3, "the first, one and three");
    let colleague = app.client_with(first.json()["value"].as_str().unwrap());
    let seen = send(&colleague, "k", json!({ "name": "one", "expires_in_seconds": 60 })).await;
    assert_eq!(
        seen.refusal(),
        (422, "idempotency_key_reused".to_owned()),
        "a secret is shown to its maker only"
    );
}

#[tokio::test]
async fn usage_of_all_projects_is_one_table() {
    let app = TestApp::start().await;
    let admin = admin(&app, vec![Scope::All]).await;
    let _worker = app.worker(Script::Complete).await;
    let mut projects = Vec::new();
    for name in ["a", "b"] {
        let project = project(&admin, name).await;
        let account = account(&admin, &project).await;
        app.client_with(account["api_key"]["value"].as_str().unwrap()).finish().await;
        projects.push(project);
    }
    let path =
        "/v1/organization/usage/videos?start_time=1700000000&limit=31&bucket_width=1d&group_by=project_id";
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let path = path.replace("1700000000", &(now - 86_400).to_string());
    let page = admin.get(&path).await.json();
    let results: Vec<&Value> = page["data"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|bucket| bucket["results"].as_array().unwrap())
        .collect();
    assert_eq!(results.len(), 2);
    assert!(
        results.iter().all(
            |result| result["videos"] == 1 && projects.iter().any(|id| result["project_id"] == json!(id))
        )
    );
    let one = admin.get(&format!("{path}&project_ids[]={}", projects[0])).await.json();
    assert!(one.to_string().contains(&projects[0]) && !one.to_string().contains(&projects[1]));
    let table = admin.get(&format!("{path}&format=csv")).await;
    assert_eq!(table.header("content-type"), Some("text/csv; charset=utf-8"));
    let text = String::from_utf8(table.body.to_vec()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let booked = format!(",1,1,0,17,1.0625,0.75,{}", CLIP.len() + THUMBNAIL.len());
    assert!(lines[0].starts_with("start_time,end_time,project_id,") && lines.len() == 3, "{text}");
    assert!(lines[1..].iter().all(|line| line.ends_with(&booked)), "{text}");
}
