//! Cancelling and deleting.

use serde_json::json;

use crate::support::{Script, TestApp};

#[tokio::test]
async fn a_queued_job_is_cancelled_at_once_and_again() {
    let app = TestApp::start().await;
    let client = app.client();
    let id = client.submit().await;
    for _ in 0..2 {
        let answer = client.post_empty(&format!("/v1/videos/{id}/cancel")).await;
        assert_eq!(answer.status, 200);
        assert_eq!(
            (answer.json()["status"].as_str(), &answer.json()["error"]["code"]),
            (Some("failed"), &json!("cancelled"))
        );
    }
}

#[tokio::test]
async fn a_running_job_stops_at_its_next_step() {
    let app = TestApp::start().await;
    let client = app.client();
    let _worker = app.worker(Script::Hold).await;
    let id = client.submit().await;
    client.until(&id, |job| job["status"] == "in_progress").await;
    let answer = client.post_empty(&format!("/v1/videos/{id}/cancel")).await;
    assert_eq!((answer.status, &answer.json()["cancel_requested"]), (200, &json!(true)));
    let job = client.get(&format!("/v1/videos/{id}?wait=30")).await.json();
    assert_eq!((&job["status"], &job["error"]["code"]), (&json!("failed"), &json!("cancelled")));
}

#[tokio::test]
async fn a_finished_job_cannot_be_cancelled_but_deleted_once() {
    let app = TestApp::start().await;
    let client = app.client();
    let _worker = app.worker(Script::Complete).await;
    let job = client.finish().await;
    let path = format!("/v1/videos/{}", job["id"].as_str().unwrap());
    let cancel = client.post_empty(&format!("{path}/cancel")).await;
    assert_eq!(cancel.refusal(), (409, "video_not_cancellable".to_owned()));
    assert_eq!(app.stranger().await.delete(&path).await.refusal(), (404, "video_not_found".to_owned()));
    let gone = client.delete(&path).await;
    assert_eq!(gone.json(), json!({ "id": job["id"], "object": "video.deleted", "deleted": true }));
    assert_eq!(client.delete(&path).await.refusal(), (404, "video_not_found".to_owned()));
    assert_eq!(client.get(&format!("{path}/content")).await.refusal(), (404, "video_not_found".to_owned()));
}

#[tokio::test]
async fn a_running_job_is_deleted_only_after_a_cancel() {
    let app = TestApp::start().await;
    let client = app.client();
    let _worker = app.worker(Script::Hold).await;
    let id = client.submit().await;
    client.until(&id, |job| job["status"] == "in_progress").await;
    let refused = client.delete(&format!("/v1/videos/{id}")).await;
    assert_eq!(refused.refusal(), (409, "video_in_progress".to_owned()));
    assert_eq!(refused.header("x-should-retry"), Some("false"));
    let deleted = client.delete(&format!("/v1/videos/{id}?cancel=true")).await;
    assert_eq!(deleted.status, 200, "{deleted:?}");
}
