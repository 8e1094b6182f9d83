//! Following a job by server-sent events.

use reqwest::Method;
use serde_json::Value;

use crate::support::{Answer, Client, Script, TestApp};

/// Number, name and data of every event.
fn events(text: &str) -> Vec<(u64, String, Value)> {
    let blocks = text.split("\n\n").filter(|block| block.starts_with("id: "));
    let event = |block: &str| {
        let mut lines = block.lines();
        let mut value = |name: &str| lines.next().unwrap().strip_prefix(name).unwrap().to_owned();
        (value("id: ").parse().unwrap(), value("event: "), serde_json::from_str(&value("data: ")).unwrap())
    };
    blocks.map(event).collect()
}

async fn follow(client: &Client, id: &str, after: Option<u64>) -> Answer {
    let request = client.request(Method::GET, &format!("/v1/videos/{id}/events"));
    let request = match after {
        Some(after) => request.header("last-event-id", after),
        None => request,
    };
    Answer::of(request).await
}

#[tokio::test]
async fn a_stream_tells_a_job_to_its_end_and_a_repeated_one_only_what_is_new() {
    let app = TestApp::start().await;
    let client = app.client();
    let id = client.submit().await;
    let following = {
        let (client, id) = (client.clone(), id.clone());
        tokio::spawn(async move { follow(&client, &id, None).await })
    };
    let worker = app.worker(Script::Hold).await;
    client.until(&id, |job| job["progress"] == 15).await;
    worker.follow(Script::Complete);
    let answer = following.await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("text/event-stream; charset=utf-8"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("x-accel-buffering"), Some("no"));
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(text.starts_with("retry: 2000\n\n"), "{text}");

    let told = events(&text);
    let names: Vec<&str> = told.iter().map(|(_, name, _)| name.as_str()).collect();
    assert!(["video.queued", "video.in_progress"].contains(&names[0]), "{names:?}");
    assert!(names.contains(&"video.in_progress") && names.last() == Some(&"video.completed"), "{names:?}");
    assert!(told.windows(2).all(|pair| pair[0].0 < pair[1].0), "{names:?}");
    let progress = |one: &(u64, String, Value)| one.2["video"]["progress"].as_u64().unwrap();
    assert!(told.windows(2).all(|pair| progress(&pair[0]) <= progress(&pair[1])));
    for (number, name, data) in &told {
        assert_eq!(
            (&data["type"], &data["sequence_number"]),
            (&Value::from(name.as_str()), &Value::from(*number))
        );
        assert_eq!(data["video"]["id"], id.as_str());
    }

    let (last, ..) = told.last().unwrap();
    let rest = follow(&client, &id, Some(2)).await;
    let rest = events(std::str::from_utf8(&rest.body).unwrap());
    assert_eq!(rest.iter().map(|(number, ..)| *number).collect::<Vec<_>>(), [*last]);
    assert_eq!(follow(&client, &id, Some(*last)).await.status, 204);
}

#[tokio::test]
async fn a_stream_is_for_the_jobs_owner_and_tells_a_cancelled_job_at_once() {
    let app = TestApp::start().await;
    let client = app.client();
    let id = client.submit().await;
    let refused = follow(&app.stranger().await, &id, None).await.refusal();
    assert_eq!(refused, (404, "video_not_found".to_owned()));
    client.post_empty(&format!("/v1/videos/{id}/cancel")).await;
    let told = follow(&client, &id, None).await;
    let told = events(std::str::from_utf8(&told.body).unwrap());
    assert_eq!(told.len(), 1);
    assert_eq!(
        (told[0].1.as_str(), &told[0].2["video"]["error"]["code"]),
        ("video.failed", &Value::from("cancelled"))
    );
}

#[tokio::test]
async fn a_number_that_was_never_given_starts_the_stream_anew() {
    let app = TestApp::start().await;
    let client = app.client();
    let worker = app.worker(Script::Hold).await;
    for after in ["99999999", "18446744073709551615", "-1", "x", "1e3"] {
        worker.follow(Script::Hold);
        let id = client.submit().await;
        let request = client.request(Method::GET, &format!("/v1/videos/{id}/events"));
        // Once there is an answer, the number has been judged.
        let following = request.header("last-event-id", after).send().await.unwrap();
        worker.follow(Script::Complete);
        let told = events(&following.text().await.unwrap());
        assert_eq!(told.last().map(|(_, name, _)| name.as_str()), Some("video.completed"), "{after}");
    }
}

#[tokio::test]
async fn a_create_may_be_answered_with_its_stream() {
    let app = TestApp::start().await;
    let _worker = app.worker(Script::Complete).await;
    let body = serde_json::json!({ "prompt": "x", "num_frames": 17, "stream": true });
    let answer = app.client().post("/v1/videos/generations", body).await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, Some("text/event-stream; charset=utf-8"))
    );
    let told = events(std::str::from_utf8(&answer.body).unwrap());
    assert_eq!((told[0].0, told[0].1.as_str()), (1, "video.queued"));
    assert_eq!(told.last().unwrap().1, "video.completed");
    let id = told[0].2["video"]["id"].as_str().unwrap();
    assert_eq!(answer.header("location"), Some(format!("/v1/videos/{id}").as_str()));
}
