//! Reading one job: its states, when to look again, waiting, and the ids that name nothing.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;
use wanserve::domain::failure::FailureCode;

use crate::support::{Answer, Script, TestApp};

#[tokio::test]
async fn a_job_is_shown_in_every_state() {
    let app = TestApp::start().await;
    let client = app.client();
    let id = client.submit().await;
    let queued = client.get(&format!("/v1/videos/{id}")).await;
    let poll: u64 = queued.header("openai-poll-after-ms").unwrap().parse().unwrap();
    assert!((250..=5000).contains(&poll));
    assert_eq!(queued.json()["status"], "queued");

    let worker = app.worker(Script::Hold).await;
    let running = client.until(&id, |job| job["stage"] == "denoising").await;
    assert_eq!(running["status"], "in_progress");
    assert_eq!((running["progress"].as_u64(), running["queue_position"].is_null()), (Some(15), true));
    assert!(running["started_at"].is_u64() && running["eta_seconds"].is_null(), "nothing was measured yet");

    worker.follow(Script::Complete);
    let done = client.get(&format!("/v1/videos/{id}?wait=30")).await.json();
    assert_eq!((&done["status"], &done["stage"]), (&Value::from("completed"), &Value::Null));
    assert!(done["completed_at"].as_u64() >= done["started_at"].as_u64());
    assert_eq!(
        done["expires_at"].as_u64().unwrap() - done["completed_at"].as_u64().unwrap(),
        86_400,
        "the default time to live"
    );
    assert_eq!(done["usage"]["gpu_seconds"], 0.75);

    worker.follow(Script::Hold);
    let next = client.submit().await;
    let running = client.until(&next, |job| job["stage"] == "denoising").await;
    assert!(running["eta_seconds"].as_f64() > Some(0.0), "measured by the job before: {running}");
}

#[tokio::test]
async fn a_failed_job_says_why() {
    let app = TestApp::start().await;
    let _worker = app.worker(Script::Fail(FailureCode::EncodingFailed)).await;
    let job = app.client().finish().await;
    assert_eq!(job["status"], "failed");
    assert_eq!(job["error"]["code"], "encoding_failed");
    assert!(job["completed_at"].is_null() && job["error"]["message"].is_string());
    assert_ne!(job["progress"], 100);
}

#[tokio::test]
async fn waiting_ends_with_its_time() {
    let app = TestApp::start().await;
    let client = app.client();
    let id = client.submit().await;
    let begun = Instant::now();
    let request = client.request(Method::GET, &format!("/v1/videos/{id}")).header("prefer", "wait=1");
    let answer = Answer::of(request).await;
    assert!(begun.elapsed() >= Duration::from_millis(950));
    assert_eq!(
        (answer.json()["status"].as_str(), answer.header("preference-applied")),
        (Some("queued"), Some("wait=1"))
    );
    let refused = client.get(&format!("/v1/videos/{id}?wait=61")).await.error();
    assert_eq!(refused, (400, "invalid_value".to_owned(), Some("wait".to_owned())));
}

#[tokio::test]
async fn what_is_no_id_of_mine_is_not_found() {
    let app = TestApp::start().await;
    let id = app.client().submit().await;
    let stranger = app.stranger().await;
    let foreign = stranger.get(&format!("/v1/videos/{id}")).await;
    let absent = stranger.get("/v1/videos/video_019b76da000070008000000000000000").await;
    assert_eq!(foreign.refusal(), (404, "video_not_found".to_owned()));
    assert_eq!(foreign.body, absent.body, "not yours looks like not there");
    for path in [
        "/v1/videos/..%2Fx",
        "/v1/videos/video_x",
        "/v1/videos/%00",
        "/v1/videos/VIDEO_019B76DA000070008000000000000000",
    ] {
        assert_eq!(app.client().get(path).await.refusal(), (404, "video_not_found".to_owned()), "{path}");
    }
}
