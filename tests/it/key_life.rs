//! How long keys open: their own end, rotation with an overlap, and what a list goes on from when things are gone.

use std::time::Duration;

use serde_json::{Value, json};
use wanserve::domain::key::Scope;

use crate::organization::{PROJECTS, account, admin, project};
use crate::support::{Client, TestApp};

/// What a key opens now.
async fn opens(app: &TestApp, key: &Value) -> (u16, String) {
    let answer = app.client_with(key["value"].as_str().unwrap()).get("/v1/videos").await;
    if answer.status == 200 { (200, String::new()) } else { answer.refusal() }
}

fn open() -> (u16, String) {
    (200, String::new())
}

fn expired() -> (u16, String) {
    (401, "expired_api_key".to_owned())
}

#[tokio::test]
async fn a_key_ends_when_it_was_said_to_and_cannot_be_rotated_then() {
    let app = TestApp::start().await;
    let admin = admin(&app, vec![Scope::All]).await;
    let project = project(&admin, "demo").await;
    let account = account(&admin, &project).await;
    let accounts = format!("{PROJECTS}/{project}/service_accounts");
    let path = format!("{accounts}/{}/api_keys", account["id"].as_str().unwrap());
    let made = admin.post(&path, json!({ "expires_in_seconds": 3600 })).await.json();
    let path = format!("{PROJECTS}/{project}/api_keys/{}", made["id"].as_str().unwrap());
    let status = async || admin.get(&path).await.json()["status"].clone();
    app.put_forward(Duration::from_secs(3590));
    assert_eq!((opens(&app, &made).await, status().await), (open(), json!("active")));
    app.put_forward(Duration::from_secs(11));
    assert_eq!((opens(&app, &made).await, status().await), (expired(), json!("expired")));
    let late = admin.post(&format!("{path}/rotate"), json!({ "overlap_seconds": 60 })).await;
    assert_eq!(late.refusal(), (404, "resource_not_found".to_owned()), "a successor would be born dead");
}

#[tokio::test]
async fn a_rotated_key_overlaps_as_long_as_wanted_and_its_successors_live_on() {
    let app = TestApp::start().await;
    let admin = admin(&app, vec![Scope::All]).await;
    let project = project(&admin, "demo").await;
    let first = account(&admin, &project).await["api_key"].clone();
    let path = |id: &Value| format!("{PROJECTS}/{project}/api_keys/{}", id.as_str().unwrap());
    let rotate = async |key: &Value, seconds: u64| {
        let path = format!("{}/rotate", path(&key["id"]));
        admin.post(&path, json!({ "overlap_seconds": seconds })).await
    };
    let second = rotate(&first, 60).await.json();
    let again = rotate(&first, 3600).await.json();
    for key in [&first, &second, &again] {
        assert_eq!(opens(&app, key).await, open());
        assert_eq!(key["expires_at"], Value::Null, "the end of the overlap is not that of a successor");
    }
    let shown = admin.get(&path(&first["id"])).await.json();
    let overlap = shown["expires_at"].as_u64().unwrap() - shown["created_at"].as_u64().unwrap();
    assert!((60..120).contains(&overlap) && shown["status"] == "active", "not made longer: {shown}");
    app.put_forward(Duration::from_secs(61));
    assert_eq!(opens(&app, &first).await, expired());
    assert_eq!((opens(&app, &second).await, opens(&app, &again).await), (open(), open()));

    let third = admin.post(&format!("{}/rotate", path(&second["id"])), json!({})).await.json();
    assert_eq!(opens(&app, &second).await, (401, "invalid_api_key".to_owned()), "without an overlap at once");
    assert_eq!(opens(&app, &third).await, open());
    assert_eq!(rotate(&second, 60).await.refusal(), (404, "resource_not_found".to_owned()));
    let long = rotate(&third, 604_801).await.error();
    assert_eq!(long, (400, "invalid_value".to_owned(), Some("overlap_seconds".to_owned())));
}

async fn ids(admin: &Client, path: &str) -> Vec<String> {
    let page = admin.get(path).await.json();
    page["data"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_list_goes_on_behind_what_is_gone_and_behind_nothing_unknown() {
    let app = TestApp::start().await;
    let admin = admin(&app, vec![Scope::All]).await;
    let mut projects = Vec::new();
    for name in ["a", "b", "c"] {
        projects.push(project(&admin, name).await);
    }
    projects.sort();
    let (first, middle, last) = (&projects[0], &projects[1], &projects[2]);
    let mut accounts = Vec::new();
    for _ in 0..3 {
        accounts.push(account(&admin, first).await["id"].as_str().unwrap().to_owned());
    }
    accounts.sort();
    let list = format!("{PROJECTS}/{first}/service_accounts");
    let foreign = account(&admin, last).await["id"].as_str().unwrap().to_owned();
    admin.delete(&format!("{list}/{}", accounts[1])).await;
    assert_eq!(ids(&admin, &format!("{list}?after={}", accounts[1])).await, [accounts[0].as_str()]);
    assert_eq!(ids(&admin, &format!("{list}?order=asc&after={}", accounts[1])).await, [accounts[2].as_str()]);
    for unknown in [foreign, "svc_acct_0190f0c4a1b27c3c9d1e5b6f7a8b9c0d".to_owned()] {
        let refused = admin.get(&format!("{list}?after={unknown}")).await.error();
        assert_eq!(refused, (400, "invalid_value".to_owned(), Some("after".to_owned())), "{unknown}");
    }

    admin.post_empty(&format!("{PROJECTS}/{middle}/archive")).await;
    assert_eq!(ids(&admin, &format!("{PROJECTS}?after={middle}")).await, [first.as_str()]);
    assert_eq!(ids(&admin, &format!("{PROJECTS}?order=asc&after={middle}")).await, [last.as_str()]);
    let page = admin.get(&format!("{PROJECTS}?limit=1")).await.json();
    assert_eq!((&page["last_id"], &page["has_more"]), (&json!(last), &json!(true)));
    let none = admin.get(&format!("{PROJECTS}?limit=0")).await.json();
    assert_eq!(
        (&none["data"], &none["last_id"], &none["has_more"]),
        (&json!([]), &Value::Null, &json!(true))
    );
}
