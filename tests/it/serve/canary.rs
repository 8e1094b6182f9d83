//! Secrets of every kind go in; none of them comes out in the log or the metrics, however talkative the log is.

use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::program::{Http, Program};
use crate::support::encoded;

/// Takes one request and answers 500, so that the server has something to complain about.
async fn broken_receiver() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // The answer is the same whatever was asked.
            stream.read_u8().await.ok();
            stream.write_all(b"HTTP/1.1 500 canary-answer\r\ncontent-length: 0\r\n\r\n").await.ok();
        }
    });
    port
}

#[tokio::test]
async fn no_secret_of_a_caller_reaches_the_log_or_the_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let port = broken_receiver().await;
    let server = Program::start(
        folder.path(),
        &[
            ("WANSERVE_WORKERS_DEVICES", "none"),
            ("WANSERVE_LOG_FILTER", "debug,wanserve=trace"),
            ("WANSERVE_AUTH_PEPPER", "canary-pepper-0123456789"),
            ("WANSERVE_WORKERS_TOKEN", "canary-token-0123456789"),
            ("WANSERVE_OUTGOING_ALLOW_CIDRS", "127.0.0.1"),
            ("WANSERVE_OUTGOING_EXTRA_PORTS", &port.to_string()),
            ("WANSERVE_OUTGOING_WEBHOOK_HTTP", "true"),
        ],
    );
    let key = server.key();
    let http = Http::new(&server.base, &key);
    let receiver = |path: &str| format!("http://127.0.0.1:{port}/{path}?t=canary-query");

    let body = json!({
        "prompt": "canary-prompt",
        "metadata": { "canary-name": "canary-value" },
        "callback_url": receiver("canary-callback"),
    });
    let job = http.json(Method::POST, "/v1/videos/generations", Some(body)).await;
    let id = job["id"].as_str().unwrap();
    let endpoint = json!({ "url": receiver("canary-endpoint"), "events": ["video.failed"], "description": "canary-words" });
    let endpoint = http.json(Method::POST, "/v1/webhook_endpoints", Some(endpoint)).await;
    let callback = http.json(Method::GET, "/v1/webhook_endpoints/callback", None).await;
    http.json(Method::POST, &format!("/v1/videos/{id}/cancel"), None).await;
    let failed = |page: &serde_json::Value| page["data"].as_array().is_some_and(|all| all.len() == 2);
    http.until("/v1/webhook_deliveries?state=failed", failed).await;

    // What is refused is logged too, perhaps.
    for image in
        [receiver("canary-picture"), "http://10.0.0.1/canary-address".to_owned(), encoded(b"canary-bytes")]
    {
        let body = json!({ "prompt": "canary-prompt", "image": image });
        assert_eq!(http.status("/v1/videos/from-image", &body).await, 400);
    }
    assert_eq!(http.status("/v1/videos/generations", &json!({ "canary-field": 1 })).await, 400);
    let stranger = Http::new(&server.base, "canary-key");
    assert_eq!(stranger.status("/v1/videos/generations", &json!({})).await, 401);
    let (status, _) = http
        .bytes("/v1/videos?after=canary-page&access_token=canary-access", ("cookie", "canary-cookie"))
        .await;
    assert_eq!(status, 400);

    let (_, metrics) = http.bytes("/metrics", ("accept", "*/*")).await;
    let told = server.log() + std::str::from_utf8(&metrics).unwrap();
    assert!(
        told.contains("a picture was not fetched") && told.contains("answered"),
        "the log is talkative:\n{told}"
    );
    let secrets = [&endpoint["secret"], &callback["secret"]]
        .map(|secret| secret.as_str().unwrap()["whsec_".len()..].to_owned());
    let leaks: Vec<&str> = told
        .lines()
        .filter(|line| {
            line.contains("canary")
                || line.contains(&key)
                || secrets.iter().any(|secret| line.contains(secret))
        })
        .collect();
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
}
