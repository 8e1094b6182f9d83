//! Who is let in, and how the others are told.

use reqwest::Method;
use serde_json::json;
use wanserve::domain::clock::Random;
use wanserve::domain::id::OrganizationId;
use wanserve::domain::key::{KeyOwner, KeyText, Scope};
use wanserve::scheduler::SystemRandom;

use crate::support::{Answer, TestApp};

#[tokio::test]
async fn without_a_valid_key_nothing_is_said() {
    let app = TestApp::start().await;
    let good = app.new_key(app.scope, vec![Scope::All]).await;
    let (start, end) = good.split_at(good.len() - 1);
    let typo = format!("{start}{}", if end == "A" { "B" } else { "A" });
    for authorization in [
        None,
        Some("Bearer nope".to_owned()),
        Some("Basic dTpw".to_owned()),
        Some(good.clone()),
        Some(format!("Bearer {typo}")),
    ] {
        let request = app.anonymous().request(Method::GET, "/v1/videos");
        let request = match &authorization {
            Some(value) => request.header("authorization", value),
            None => request,
        };
        let answer = Answer::of(request).await;
        assert_eq!(answer.refusal(), (401, "invalid_api_key".to_owned()), "{authorization:?}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        assert!(!String::from_utf8_lossy(&answer.body).contains(&good));
    }
    let query = app.anonymous().get(&format!("/v1/videos?api_key={good}")).await;
    assert_eq!(query.status, 401);
}

#[tokio::test]
async fn a_revoked_key_is_refused_at_once() {
    let app = TestApp::start().await;
    let key = app.new_key(app.scope, vec![Scope::All]).await;
    let client = app.client_with(&key);
    assert_eq!(client.get("/v1/videos").await.status, 200);
    let text: KeyText = key.parse().unwrap();
    let record = app.keys.check(&text).await.unwrap().unwrap();
    app.keys.revoke(record.id).await.unwrap();
    assert_eq!(client.get("/v1/videos").await.refusal(), (401, "invalid_api_key".to_owned()));
}

#[tokio::test]
async fn a_key_does_what_its_scopes_say() {
    let app = TestApp::start().await;
    let id = app.client().submit().await;
    let reader = app.limited_to(vec![Scope::VideosRead]).await;
    assert_eq!(reader.get(&format!("/v1/videos/{id}")).await.status, 200);
    for answer in [
        reader.post("/v1/videos/generations", json!({ "prompt": "x" })).await,
        reader.post_empty(&format!("/v1/videos/{id}/cancel")).await,
        reader.delete(&format!("/v1/videos/{id}")).await,
        reader.get("/v1/models").await,
    ] {
        assert_eq!(answer.refusal(), (403, "insufficient_scope".to_owned()));
        assert_eq!(answer.json()["error"]["type"], "permission_error");
    }
    let writer = app.limited_to(vec![Scope::VideosWrite]).await;
    assert_eq!(writer.get(&format!("/v1/videos/{id}")).await.status, 200, "writing includes reading");
    let organization = OrganizationId::new(1, SystemRandom.id_bytes());
    let admin = app.key_of(KeyOwner::Admin { organization }, vec![Scope::All]).await;
    let answer = app.client_with(&admin).get("/v1/videos").await;
    assert_eq!(answer.refusal(), (403, "insufficient_scope".to_owned()));
}

#[tokio::test]
async fn the_headers_of_the_sdk_must_name_the_keys_own_tenant() {
    let app = TestApp::start().await;
    let (organization, project) = (app.scope.organization.to_string(), app.scope.project.to_string());
    for (name, value, expected) in [
        ("openai-organization", organization.as_str(), None),
        ("openai-project", project.as_str(), None),
        ("openai-organization", "org_other", Some("mismatched_organization")),
        ("openai-project", "other", Some("mismatched_project")),
    ] {
        let request = app.client().request(Method::GET, "/v1/videos").header(name, value);
        let answer = Answer::of(request).await;
        match expected {
            None => assert_eq!(answer.status, 200),
            Some(code) => assert_eq!(answer.refusal(), (401, code.to_owned())),
        }
    }
}
