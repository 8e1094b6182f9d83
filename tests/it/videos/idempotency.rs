//! The same request twice is one job.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Client, Part, Script, TestApp};

const PATH: &str = "/v1/videos/generations";

async fn create(client: &Client, key: &str, body: &Value) -> Answer {
    Answer::of(client.request(Method::POST, PATH).header("idempotency-key", key).json(body)).await
}

#[tokio::test]
async fn a_repeated_key_answers_the_first_job() {
    let app = TestApp::start().await;
    let client = app.client();
    let body = json!({ "prompt": "x", "num_steps": 1 });
    let first = create(&client, "k", &body).await;
    assert_eq!((first.status, first.header("idempotent-replayed")), (200, None));
    let again = create(&client, "\"k\"", &json!({ "num_steps": 1.0, "prompt": "x" })).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.json(), first.json());
    assert_ne!(again.header("x-request-id"), first.header("x-request-id"));
    assert_ne!(create(&client, "k2", &body).await.id(), first.id());
    assert_ne!(create(&app.stranger().await, "k", &body).await.id(), first.id());

    let _worker = app.worker(Script::Complete).await;
    client.get(&format!("/v1/videos/{}?wait=30", first.id())).await;
    let later = create(&client, "k", &body).await;
    assert_eq!(later.json()["status"], "queued", "the body is that of the creation");
    let waiting = create(&client, "k", &json!({ "prompt": "x", "num_steps": 1, "wait": 30 })).await;
    assert_eq!((waiting.json()["status"].as_str(), waiting.id()), (Some("completed"), first.id()));
}

#[tokio::test]
async fn a_form_is_recognised_under_another_boundary() {
    let app = TestApp::start().await;
    let client = app.client();
    let parts = [Part::Text("prompt", "x"), Part::Text("seed", "3")];
    let turned = [Part::Text("seed", "3"), Part::Text("prompt", "x")];
    let first = Answer::of(client.form("/v1/videos", &parts).header("idempotency-key", "k")).await;
    let again = Answer::of(client.form("/v1/videos", &turned).header("idempotency-key", "k")).await;
    assert_eq!((again.id(), again.header("idempotent-replayed")), (first.id(), Some("true")));
}

#[tokio::test]
async fn another_request_under_the_same_key_is_refused() {
    let app = TestApp::start().await;
    let client = app.client();
    create(&client, "k", &json!({ "prompt": "x" })).await;
    let other = create(&client, "k", &json!({ "prompt": "y" })).await;
    assert_eq!(other.refusal(), (422, "idempotency_key_reused".to_owned()));
    let failed = create(&client, "f", &json!({ "prompt": "x", "num_steps": 9 })).await;
    assert_eq!(failed.status, 400);
    assert_eq!(create(&client, "f", &json!({ "prompt": "x" })).await.status, 200, "a refusal uses no key up");
    for bad in ["", "\"\"", &"k".repeat(256)] {
        let answer = create(&client, bad, &json!({ "prompt": "x" })).await;
        assert_eq!(answer.refusal(), (400, "invalid_idempotency_key".to_owned()), "{bad:?}");
    }
}

#[tokio::test]
async fn parallel_repetitions_make_one_job() {
    let app = TestApp::start().await;
    let client = app.client();
    let body = json!({ "prompt": "x" });
    let answers = futures_util::future::join_all((0..8).map(|_| create(&client, "k", &body))).await;
    let mut ids: Vec<_> = answers.iter().filter(|answer| answer.status == 200).map(Answer::id).collect();
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        assert_eq!(answer.refusal(), (409, "idempotency_key_in_use".to_owned()));
        assert_eq!(
            (answer.header("retry-after"), answer.header("x-should-retry")),
            (Some("1"), Some("true"))
        );
    }
    ids.dedup();
    assert_eq!(ids.len(), 1);
}

/// A try of an SDK that numbers its tries and sends no key.
fn tried(client: &Client, count: u32, wait: &str) -> reqwest::RequestBuilder {
    let body = json!({ "prompt": "x", "num_steps": 1 });
    let request = client.request(Method::POST, &format!("{PATH}{wait}"));
    request.header("x-stainless-retry-count", count.to_string()).json(&body)
}

#[tokio::test]
async fn a_retry_whose_client_had_gone_is_given_the_job_of_the_first_try() {
    let app = TestApp::start().await;
    let client = app.client();
    let _worker = app.worker(Script::Hold).await;
    let gone = tokio::spawn(tried(&client, 0, "?wait=60").send());
    let list = client
        .until_at("/v1/videos", |page| page["data"].as_array().is_some_and(|data| data.len() == 1))
        .await;
    gone.abort();
    let job = list["data"][0]["id"].clone();
    // The connection goes with the task; its end is on its way before the next request is.
    assert!(gone.await.unwrap_err().is_cancelled());
    let again = Answer::of(tried(&client, 1, "")).await;
    assert_eq!(
        (again.json()["id"].clone(), again.header("idempotent-replayed")),
        (job.clone(), Some("true"))
    );
    let other = Answer::of(tried(&client, 1, "")).await;
    assert_ne!(other.json()["id"], job, "one retry of each number is told");
    let heard = Answer::of(tried(&client, 0, "")).await;
    let next = Answer::of(tried(&client, 1, "")).await;
    assert_ne!(heard.json()["id"], next.json()["id"], "what was answered is not repeated");
}
