//! What a project may ask, and how it is told.

use std::num::NonZeroU32;

use reqwest::Method;
use serde_json::json;
use wanserve::domain::failure::FailureCode;
use wanserve::domain::key::Scope;
use wanserve::domain::limits::{Allowance, Limits};

use crate::organization::{PROJECTS, account, admin, project};
use crate::support::{Answer, Script, Setup, TestApp};

async fn limited(limits: Limits) -> TestApp {
    TestApp::with(Setup { limits: Some(limits), ..Setup::default() }).await
}

fn all(number: u32) -> Limits {
    let number = NonZeroU32::new(number);
    let project = Allowance {
        creates_per_minute: number,
        reads_per_minute: number,
        content_per_minute: number,
        active_jobs: number,
        ..Allowance::default()
    };
    Limits { project, admin_per_minute: None, wrong_keys_per_minute: number }
}

/// Those of a project, and none for anybody else.
fn of_project(project: Allowance) -> Limits {
    Limits { project, ..Limits::default() }
}

#[tokio::test]
async fn a_request_with_an_idempotency_key_is_counted_once_whatever_is_answered() {
    let app = limited(of_project(all(6).project)).await;
    let client = app.client();
    let path = "/v1/webhook_endpoints/callback/rotate_secret";
    let bad_key = "x".repeat(256);
    for (path, key, body, status, left) in [
        (path, "k", json!({}), 200, "5"),
        (path, "k", json!({}), 200, "4"),
        (path, "k", json!({ "other": 1 }), 422, "3"),
        (path, &bad_key, json!({}), 400, "2"),
        ("/v1/nothing", "k", json!({}), 404, "1"),
        ("/v1/organization/projects", "k", json!({ "name": "x" }), 403, "0"),
    ] {
        let request = client.request(Method::POST, path).header("idempotency-key", key).json(&body);
        let answer = Answer::of(request).await;
        let seen = (answer.status, answer.header("x-ratelimit-remaining-requests"));
        assert_eq!(seen, (status, Some(left)), "{path} {key} {body}");
    }
    let request = client.request(Method::POST, path).header("idempotency-key", "k").json(&json!({}));
    assert_eq!(Answer::of(request).await.refusal(), (429, "rate_limit_exceeded".to_owned()));
}

#[tokio::test]
async fn the_request_rate_is_told_and_kept() {
    let app = limited(of_project(Allowance { active_jobs: None, ..all(3).project })).await;
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
async fn of_a_model_and_its_project_the_stricter_rate_is_told_and_kept() {
    let app = limited(of_project(Allowance { active_jobs: None, ..all(5).project })).await;
    let admin = admin(&app, vec![Scope::All]).await;
    let project = project(&admin, "demo").await;
    let client = app.client_with(account(&admin, &project).await["api_key"]["value"].as_str().unwrap());
    let set = json!({ "max_requests_per_1_minute": 2, "max_requests_per_1_day": 3 });
    let path = format!("{PROJECTS}/{project}/rate_limits/rl_wan-tiny");
    assert_eq!(admin.post(&path, set).await.status, 200);
    let told = |answer: &Answer| {
        let header = |name: &str| answer.header(name).map(str::to_owned).unwrap();
        (answer.status, header("x-ratelimit-limit-requests"), header("x-ratelimit-remaining-requests"))
    };
    let create = async || client.post("/v1/videos/generations", json!({ "prompt": "x" })).await;
    let two = |status, left: &str| (status, "2".to_owned(), left.to_owned());
    assert_eq!(told(&create().await), two(200, "1"));
    assert_eq!(told(&create().await), two(200, "0"));
    let refused = create().await;
    assert_eq!((refused.refusal().1.as_str(), told(&refused)), ("rate_limit_exceeded", two(429, "0")));
    assert_eq!(refused.header("x-should-retry"), Some("true"));
}

#[tokio::test]
async fn active_jobs_are_counted_with_the_admission() {
    let app = limited(of_project(Allowance { active_jobs: NonZeroU32::new(2), ..all(100).project })).await;
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
async fn an_answer_tells_what_is_left_after_what_it_did() {
    let number = NonZeroU32::new;
    let project =
        Allowance { active_jobs: number(3), gpu_seconds_per_day: number(20), ..Allowance::default() };
    let app = limited(of_project(project)).await;
    let client = app.client();
    let body = json!({ "prompt": "x", "num_steps": 1, "num_frames": 17 });
    let mut last = String::new();
    for (jobs, seconds) in [("2", "15"), ("1", "10"), ("0", "5")] {
        let made = client.post("/v1/videos/generations", body.clone()).await;
        assert_eq!(made.header("x-ratelimit-remaining-jobs"), Some(jobs));
        assert_eq!(made.header("ratelimit"), Some(format!("\"jobs\";r={jobs}").as_str()));
        assert_eq!(made.header("x-ratelimit-remaining-gpu-seconds"), Some(seconds));
        last = made.id();
    }
    let cancelled = client.post_empty(&format!("/v1/videos/{last}/cancel")).await;
    assert_eq!(cancelled.header("x-ratelimit-remaining-jobs"), Some("1"));
    assert_eq!(cancelled.header("x-ratelimit-remaining-gpu-seconds"), Some("10"));
}

#[tokio::test]
async fn a_full_project_is_told_when_a_job_may_end() {
    let app = limited(of_project(Allowance { active_jobs: NonZeroU32::new(1), ..all(100).project })).await;
    let client = app.client();
    let worker = app.worker(Script::Complete).await;
    client.finish().await;
    worker.follow(Script::Hold);
    client.submit().await;
    let refused = client.post("/v1/videos/generations", json!({ "prompt": "x" })).await;
    let millis: u64 = refused.header("retry-after-ms").unwrap().parse().unwrap();
    assert!((1000..5000).contains(&millis), "measured by the first job, and not assumed: {millis}");
    assert_eq!(
        refused.header("ratelimit"),
        Some("\"requests\";r=97, \"jobs\";r=0"),
        "no other time is named"
    );
}

#[tokio::test]
async fn gpu_seconds_are_promised_then_charged_and_never_exceeded() {
    let app =
        limited(of_project(Allowance { gpu_seconds_per_day: NonZeroU32::new(7), ..Allowance::default() }))
            .await;
    let client = app.client();
    let body = json!({ "prompt": "x", "num_steps": 1, "num_frames": 17 });
    let send = || client.post("/v1/videos/generations", body.clone());
    let race = futures_util::future::join_all((0..8).map(|_| send())).await;
    let taken = race.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(taken, 1, "5 s are assumed for each, and 7 may be promised");
    let refused = race.into_iter().find(|answer| answer.status == 429).unwrap();
    assert_eq!(refused.refusal(), (429, "insufficient_quota".to_owned()));
    assert_eq!(refused.json()["error"]["type"], "insufficient_quota");
    assert_eq!(refused.header("x-should-retry"), Some("false"));
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() <= 86_400);
    let limits = client.get("/v1/limits").await;
    assert_eq!(limits.json()["usage"]["gpu_seconds_reserved"], 5.0);
    assert_eq!(limits.header("x-ratelimit-limit-gpu-seconds"), Some("7"));
    assert_eq!(limits.header("x-ratelimit-remaining-gpu-seconds"), Some("2"));
    assert!(limits.header("x-ratelimit-reset-gpu-seconds").is_some());
    let _worker = app.worker(Script::Complete).await;
    let settled = client.until_at("/v1/limits", |limits| limits["usage"]["active_jobs"] == 0).await;
    let usage = &settled["usage"];
    assert_eq!((&usage["gpu_seconds_day"], &usage["gpu_seconds_reserved"]), (&json!(0.75), &json!(0.0)));
    assert_eq!(usage["gpu_seconds_month"], 0.75);
    for _ in 0..8 {
        let answer = client.post("/v1/videos/generations?wait=30", body.clone()).await;
        assert_eq!(answer.status, 200, "0.75 s each now that one was measured: {answer:?}");
    }
    assert_eq!(send().await.refusal(), (429, "insufficient_quota".to_owned()), "6.75 s are charged");
}

#[tokio::test]
async fn a_failure_of_the_platform_is_charged_nothing() {
    let app =
        limited(of_project(Allowance { gpu_seconds_per_day: NonZeroU32::new(100), ..Allowance::default() }))
            .await;
    let client = app.client();
    let _worker = app.worker(Script::Fail(FailureCode::InternalError)).await;
    assert_eq!(client.finish().await["status"], "failed");
    let usage = client.get("/v1/limits").await.json()["usage"].clone();
    assert_eq!((&usage["gpu_seconds_day"], &usage["gpu_seconds_reserved"]), (&json!(0.0), &json!(0.0)));
}

#[tokio::test]
async fn more_than_so_many_jobs_of_a_project_do_not_run_at_once() {
    let app =
        limited(of_project(Allowance { running_jobs: NonZeroU32::new(1), ..Allowance::default() })).await;
    let client = app.client();
    let (first, second) = (app.worker(Script::Hold).await, app.worker(Script::Hold).await);
    client.submit().await;
    client.until_at("/v1/limits", |limits| limits["usage"]["running_jobs"] == 1).await;
    let waiting = client.submit().await;
    let other = app.stranger().await;
    let theirs = other.submit().await;
    other.until(&theirs, |job| job["status"] == "in_progress").await;
    assert_eq!(client.get(&format!("/v1/videos/{waiting}")).await.json()["status"], "queued");
    first.follow(Script::Complete);
    second.follow(Script::Complete);
    client.until(&waiting, |job| job["status"] != "queued").await;
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
    let app =
        limited(of_project(Allowance { content_per_minute: NonZeroU32::new(1), ..all(100).project })).await;
    let client = app.client();
    let _worker = app.worker(Script::Complete).await;
    let path = format!("/v1/videos/{}/content", client.finish().await["id"].as_str().unwrap());
    assert_eq!(client.get(&path).await.status, 200);
    assert_eq!(client.get(&path).await.refusal(), (429, "rate_limit_exceeded".to_owned()));
}

#[tokio::test]
async fn a_quota_below_one_job_says_that_waiting_does_not_help() {
    let limits = Allowance { gpu_seconds_per_day: NonZeroU32::new(1), ..Allowance::default() };
    let app = limited(of_project(limits)).await;
    let refused = app.client().post("/v1/videos/generations", json!({ "prompt": "x" })).await;
    assert_eq!(refused.refusal(), (429, "insufficient_quota".to_owned()));
    let message = refused.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("never fits") && message.contains("the limit of 1"), "{message}");
    assert_eq!((refused.header("retry-after"), refused.header("x-should-retry")), (None, Some("false")));
}

#[tokio::test]
async fn behind_a_trusted_proxy_strangers_are_told_apart() {
    let stranger = TestApp::start().await;
    let unknown = stranger.new_key(stranger.scope, Vec::new()).await;
    for (trusted, expected) in
        [(vec!["127.0.0.1".parse().unwrap()], [401, 401, 429]), (Vec::new(), [401, 429, 429])]
    {
        let app =
            TestApp::with(Setup { limits: Some(all(1)), trusted_proxies: trusted, ..Setup::default() }).await;
        let mut seen = Vec::new();
        // The first address is what the stranger wrote itself.
        for hops in ["203.0.113.1, 198.51.100.1", "203.0.113.2, 198.51.100.2", "203.0.113.3, 198.51.100.1"] {
            let request = app.client_with(&unknown).request(Method::GET, "/v1/videos");
            seen.push(Answer::of(request.header("x-forwarded-for", hops)).await.status);
        }
        assert_eq!(seen, expected);
    }
}
