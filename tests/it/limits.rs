//! What a project may ask, and how it is told.

use std::num::NonZeroU32;

use reqwest::Method;
use serde_json::json;
use wanserve::domain::limits::Limits;

use crate::support::{Answer, Script, Setup, TestApp};

async fn limited(limits: Limits) -> TestApp {
    TestApp::with(Setup { limits: Some(limits), ..Setup::default() }).await
}

fn all(number: u32) -> Limits {
    let number = NonZeroU32::new(number);
    Limits {
        creates_per_minute: number,
        reads_per_minute: number,
        content_per_minute: number,
        active_jobs: number,
        wrong_keys_per_minute: number,
    }
}

#[tokio::test]
async fn the_request_rate_is_told_and_kept() {
    let app = limited(Limits { active_jobs: None, ..all(3) }).await;
    let client = app.client();
    for left in ["2", "1", "0"] {
        let answer = client.post("/v1/videos/generations", json!({ "prompt": "x" })).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("x-ratelimit-limit-requests"), Some("3"));
        assert_eq!(answer.header("x-ratelimit-remaining-requests"), Some(left));
        assert_eq!(answer.header("ratelimit-policy"), Some("\"requests\";q=3;w=60"));
    }
    let refused = client.post("/v1/videos/generations", json!({ "prompt": "x" })).await;
    assert_eq!(refused.refusal(), (429, "rate_limit_exceeded".to_owned()));
    assert_eq!(refused.json()["error"]["type"], "rate_limit_error");
    assert_eq!(
        (refused.header("x-should-retry"), refused.header("x-ratelimit-remaining-requests")),
        (Some("true"), Some("0"))
    );
    let millis: u64 = refused.header("retry-after-ms").unwrap().parse().unwrap();
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=20_000).contains(&millis) && seconds == millis.div_ceil(1000), "{refused:?}");
    assert_eq!(client.get("/v1/videos").await.status, 200, "reading has a bucket of its own");
    assert_eq!(
        app.stranger().await.post("/v1/videos/generations", json!({ "prompt": "x" })).await.status,
        200
    );
    assert_eq!(app.anonymous().get("/healthz").await.header("ratelimit"), None);
}

#[tokio::test]
async fn active_jobs_are_counted_with_the_admission() {
    let app = limited(Limits { active_jobs: NonZeroU32::new(2), ..all(100) }).await;
    let client = app.client();
    let first = client.submit().await;
    client.submit().await;
    let refused = client.post("/v1/videos/generations", json!({ "prompt": "x" })).await;
    assert_eq!(refused.refusal(), (429, "concurrency_limit_exceeded".to_owned()));
    assert_eq!(refused.header("x-ratelimit-remaining-jobs"), Some("0"));
    let limits = client.get("/v1/limits").await.json();
    assert_eq!(
        (&limits["data"][0]["id"], &limits["data"][0]["max_active_jobs"]),
        (&json!("rl_default"), &json!(2))
    );
    assert_eq!((&limits["usage"]["active_jobs"], &limits["usage"]["running_jobs"]), (&json!(2), &json!(0)));
    client.post_empty(&format!("/v1/videos/{first}/cancel")).await;
    assert_eq!(client.post("/v1/videos/generations", json!({ "prompt": "x" })).await.status, 200);
}

#[tokio::test]
async fn guessing_keys_becomes_slow() {
    let app = limited(all(2)).await;
    let key = app.new_key(app.scope, Vec::new()).await;
    let handle = &key[..key.len() - 49];
    let guesses = (0..4).map(|guess| format!("{handle}{guess}"));
    let mut seen = Vec::new();
    for guess in guesses {
        let request = app.anonymous().request(Method::GET, "/v1/videos").bearer_auth(guess);
        seen.push(Answer::of(request).await.status);
    }
    assert_eq!(seen, [401; 4], "what is no key by its checksum costs no look-up");
    let stranger = TestApp::start().await;
    let unknown = stranger.new_key(stranger.scope, Vec::new()).await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(app.client_with(&unknown).get("/v1/videos").await.refusal());
    }
    let wrong = (401, "invalid_api_key".to_owned());
    assert_eq!(seen, [wrong.clone(), wrong, (429, "rate_limit_exceeded".to_owned())]);
    assert_eq!(app.client().get("/v1/videos").await.status, 200, "a good key is not held up");
}

#[tokio::test]
async fn downloads_have_a_bucket_of_their_own() {
    let app = limited(Limits { content_per_minute: NonZeroU32::new(1), ..all(100) }).await;
    let client = app.client();
    let _worker = app.worker(Script::Complete).await;
    let path = format!("/v1/videos/{}/content", client.finish().await["id"].as_str().unwrap());
    assert_eq!(client.get(&path).await.status, 200);
    assert_eq!(client.get(&path).await.refusal(), (429, "rate_limit_exceeded".to_owned()));
}
