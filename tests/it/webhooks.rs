//! Webhooks over HTTP: endpoints and their secrets, callbacks of single requests, and what a receiver sees.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use wanserve::domain::key::Scope;

use crate::support::{Client, Received, Script, Setup, Sink, TestApp};

const ENDPOINTS: &str = "/v1/webhook_endpoints";

async fn app_reaching(ports: &[u16]) -> TestApp {
    TestApp::with(Setup { reachable_ports: ports.to_vec(), ..Setup::default() }).await
}

async fn register(client: &Client, sink: &Sink) -> Value {
    let body = json!({ "url": sink.url("/hook"), "events": ["video.completed", "video.failed"] });
    let answer = client.post(ENDPOINTS, body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// As a receiver checks it, following the specification and nothing of ours.
fn signed_with(request: &Received, secret: &str) -> bool {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let signed = format!("{}.{}.", request.header("webhook-id"), request.header("webhook-timestamp"));
    let mac = <Hmac<Sha256> as Mac>::new_from_slice(&key).unwrap();
    let mac = mac.chain_update(signed).chain_update(&request.body).finalize().into_bytes();
    let expected = format!("v1,{}", STANDARD.encode(mac)).to_lowercase();
    request.header("webhook-signature").split(' ').any(|one| one == expected)
}

#[tokio::test]
async fn an_endpoint_hears_of_a_completed_job() {
    let sink = Sink::of_statuses(&[204]).await;
    let app = app_reaching(&[sink.port]).await;
    let client = app.client();
    let endpoint = register(&client, &sink).await;
    assert_eq!((&endpoint["enabled"], &endpoint["disabled_reason"]), (&json!(true), &Value::Null));
    let _worker = app.worker(Script::Complete).await;
    let job = client.finish().await;
    let request = sink.until(1).await.remove(0);
    assert!(request.head.starts_with("post /hook http/1.1"), "{}", request.head);
    assert!(signed_with(&request, endpoint["secret"].as_str().unwrap()));
    let event: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!((&event["type"], &event["object"]), (&json!("video.completed"), &json!("event")));
    assert_eq!((&event["data"]["id"], &event["data"]["status"]), (&job["id"], &json!("completed")));
    assert_eq!(event["id"], request.header("webhook-id"));

    let video = job["id"].as_str().unwrap();
    let log = format!("/v1/webhook_deliveries?video_id={video}&state=delivered");
    let delivery = client.until_at(&log, |page| page["data"][0].is_object()).await["data"][0].clone();
    assert_eq!(delivery["attempts"][0]["status_code"], 204);
    assert_eq!((&delivery["event_id"], &delivery["endpoint_id"]), (&event["id"], &endpoint["id"]));

    let again = format!("/v1/webhook_deliveries/{}/redeliver", delivery["id"].as_str().unwrap());
    assert_eq!(client.post_empty(&again).await.json()["state"], "pending");
    let requests = sink.until(2).await;
    assert_eq!(requests[1].header("webhook-id"), request.header("webhook-id"));
    assert_eq!(requests[1].body, request.body);
}

#[tokio::test]
async fn a_request_may_name_its_own_callback() {
    let sink = Sink::of_statuses(&[200]).await;
    let app = app_reaching(&[sink.port]).await;
    let client = app.client();
    let first = client.get("/v1/webhook_endpoints/callback").await.json();
    assert_eq!(client.get("/v1/webhook_endpoints/callback").await.json()["secret"], Value::Null);
    let rotated = client.post("/v1/webhook_endpoints/callback/rotate_secret", json!({})).await.json();
    let _worker = app.worker(Script::Complete).await;
    let body = json!({ "prompt": "x", "num_frames": 17, "callback_url": sink.url("/done?token=t") });
    let job = client.post("/v1/videos/generations", body).await.json();
    assert_eq!(job["callback_url"], sink.url("/done"), "without its query");
    let request = sink.until(1).await.remove(0);
    assert!(request.head.starts_with("post /done?token=t "), "{}", request.head);
    for secret in [&first, &rotated] {
        assert!(signed_with(&request, secret["secret"].as_str().unwrap()));
    }
}

/// Often, as the deletion races with the telling.
#[tokio::test]
async fn a_job_that_is_deleted_with_its_end_is_told_all_the_same() {
    const JOBS: usize = 12;
    let sink = Sink::of_statuses(&[200]).await;
    let app = app_reaching(&[sink.port]).await;
    let client = app.client();
    register(&client, &sink).await;
    let mut deleted = Vec::new();
    for _ in 0..JOBS {
        let body = json!({
            "prompt": "x", "num_frames": 17, "callback_url": sink.url("/done"), "metadata": { "order": "7" },
        });
        let job = client.post("/v1/videos/generations", body).await.id();
        let answer = client.delete(&format!("/v1/videos/{job}?cancel=true")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        deleted.extend([format!("{job} /done"), format!("{job} /hook")]);
    }
    let mut told = Vec::new();
    for request in sink.until(2 * JOBS).await {
        let event: Value = serde_json::from_slice(&request.body).unwrap();
        let data = &event["data"];
        assert_eq!((&data["error_code"], &data["metadata"]["order"]), (&json!("cancelled"), &json!("7")));
        let path = request.head.split(' ').nth(1).unwrap();
        told.push(format!("{} {path}", data["id"].as_str().unwrap()));
    }
    told.sort();
    deleted.sort();
    assert_eq!(told, deleted);
}

#[tokio::test]
async fn endpoints_are_read_changed_tested_and_removed() {
    let sink = Sink::of_statuses(&[200, 500]).await;
    let app = app_reaching(&[sink.port]).await;
    let client = app.client();
    let made = register(&client, &sink).await;
    let path = format!("{ENDPOINTS}/{}", made["id"].as_str().unwrap());
    let read = client.get(&path).await.json();
    assert!(read.get("secret").is_none() && read["url"] == made["url"]);
    assert_eq!(client.get(ENDPOINTS).await.json()["data"], json!([read]));

    let edit = json!({ "events": ["video.in_progress"], "description": "d", "enabled": false });
    let edited = client.post(&path, edit).await.json();
    assert_eq!((&edited["events"], &edited["enabled"]), (&json!(["video.in_progress"]), &json!(false)));

    let tested = client.post_empty(&format!("{path}/test")).await.json();
    assert_eq!((&tested["state"], &tested["type"]), (&json!("delivered"), &json!("endpoint.test")));
    let failed = client.post_empty(&format!("{path}/test")).await.json();
    assert_eq!(failed["state"], "exhausted");

    let rotate = format!("{path}/rotate_secret");
    let rotated = client.post(&rotate, json!({ "overlap_seconds": 0 })).await.json();
    assert_ne!(rotated["secret"], made["secret"]);
    let refused = client.post(&rotate, json!({ "overlap_seconds": 604_801 })).await.error();
    assert_eq!(refused, (400, "invalid_value".to_owned(), Some("overlap_seconds".to_owned())));

    let stranger = app.stranger().await;
    let not_found = (404, "resource_not_found".to_owned());
    assert_eq!(stranger.get(&path).await.refusal(), not_found);
    assert_eq!(stranger.delete(&path).await.refusal(), not_found);
    let reader = app.limited_to(vec![Scope::WebhooksRead]).await;
    assert_eq!(reader.delete(&path).await.refusal(), (403, "insufficient_scope".to_owned()));
    assert_eq!(client.delete(&path).await.json()["deleted"], true);
    assert_eq!(client.get(&path).await.refusal(), not_found);
    assert_eq!(client.get(&format!("{ENDPOINTS}/we_nonsense")).await.refusal(), not_found);
}

#[tokio::test]
async fn what_is_wrong_about_an_endpoint_is_named() {
    let app = app_reaching(&[]).await;
    let client = app.client();
    let url = "https://example.com/hook";
    let cases = [
        (json!({ "events": ["video.failed"] }), "missing_required_parameter", "url"),
        (json!({ "url": url }), "missing_required_parameter", "events"),
        (json!({ "url": url, "events": [] }), "invalid_value", "events"),
        (json!({ "url": url, "events": ["video.deleted"] }), "invalid_value", "events"),
        (json!({ "url": url, "events": "video.failed" }), "invalid_type", "events"),
        (json!({ "url": url, "events": ["video.failed"], "x": 1 }), "unknown_parameter", "x"),
        (
            json!({ "url": "https://10.0.0.1/", "events": ["video.failed"] }),
            "callback_url_not_allowed",
            "url",
        ),
        (
            json!({ "url": "https://localhost/", "events": ["video.failed"] }),
            "callback_url_not_allowed",
            "url",
        ),
        (
            json!({ "url": "ftp://example.com/", "events": ["video.failed"] }),
            "callback_url_not_allowed",
            "url",
        ),
    ];
    for (body, code, param) in cases {
        let seen = client.post(ENDPOINTS, body.clone()).await.error();
        assert_eq!(seen, (400, code.to_owned(), Some(param.to_owned())), "{body}");
    }
    assert_eq!(app.metrics.outbound_blocked_total.value(["webhook"]), 3.0);
}

#[tokio::test]
async fn endpoints_come_in_pages_as_everything_does() {
    let app = TestApp::start().await;
    let client = app.client();
    let mut made = Vec::new();
    for name in ["a", "b", "c"] {
        let body = json!({ "url": format!("https://example.com/{name}"), "events": ["video.completed"] });
        made.push(client.post(ENDPOINTS, body).await.id());
    }
    made.sort();
    let ids = async |query: &str| -> (Vec<String>, bool) {
        let page = client.get(&format!("{ENDPOINTS}?{query}")).await.json();
        let data = page["data"].as_array().unwrap().iter();
        let ids = data.map(|one| one["id"].as_str().unwrap().to_owned()).collect();
        (ids, page["has_more"].as_bool().unwrap())
    };
    let newest: Vec<String> = made.iter().rev().cloned().collect();
    assert_eq!(ids("").await, (newest.clone(), false));
    assert_eq!(ids("limit=2").await, (newest[..2].to_vec(), true));
    assert_eq!(ids(&format!("order=asc&after={}", made[0])).await, (made[1..].to_vec(), false));
    client.delete(&format!("{ENDPOINTS}/{}", made[1])).await;
    assert_eq!(ids(&format!("after={}", made[1])).await, (vec![made[0].clone()], false), "it is gone");
    let seen = app.stranger().await.get(&format!("{ENDPOINTS}?after={}", made[1])).await.error();
    assert_eq!(seen, (400, "invalid_value".to_owned(), Some("after".to_owned())), "it was never theirs");
}

#[tokio::test]
async fn deliveries_are_listed_in_both_orders_and_behind_known_ones_only() {
    let sink = Sink::of_statuses(&[204]).await;
    let app = app_reaching(&[sink.port]).await;
    let client = app.client();
    let endpoint = register(&client, &sink).await["id"].as_str().unwrap().to_owned();
    let mut made = Vec::new();
    for _ in 0..3 {
        made.push(client.post_empty(&format!("{ENDPOINTS}/{endpoint}/test")).await.id());
    }
    made.sort();
    let log = "/v1/webhook_deliveries";
    let ids = async |query: &str| -> Vec<String> {
        let page = client.get(&format!("{log}?{query}")).await.json();
        page["data"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids("order=asc").await, made);
    assert_eq!(ids("").await, made.iter().rev().cloned().collect::<Vec<_>>());
    assert_eq!(ids(&format!("order=asc&limit=1&after={}", made[0])).await, made[1..2]);
    assert_eq!(ids(&format!("after={}", made[1])).await, made[..1]);
    let foreign = app.stranger().await.get(&format!("{log}?after={}", made[0])).await.error();
    assert_eq!(foreign, (400, "invalid_value".to_owned(), Some("after".to_owned())));
    assert_eq!(
        ids("after=wd_00000000000070008000000000000000").await,
        [""; 0],
        "so old that it is forgotten"
    );
}
