//! Secrets of every kind go in, requests and jobs fail, handlers and workers panic; and no secret comes out in the log of
//! the server or its worker, their standard output, the metrics, the audit log or the answer to a refused request, however
//! talkative the log is.

use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::program::{Http, Program, new_key};
use crate::support::{ACCESS_KEY, BUCKET, Bucket, SECRET_KEY, encoded, png};

const PEPPER: &str = "canary-pepper-0123456789";
const METRICS_TOKEN: &str = "canary-metrics-0123456789";

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

/// The bundled model with a window of text so wide that the worker's engine panics over its first job.
fn model_that_panics(models: &Path) {
    let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/wan-tiny");
    let broken = models.join("wan-tiny");
    std::fs::create_dir_all(&broken).unwrap();
    for entry in
        std::fs::read_dir(bundled).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_file())
    {
        std::fs::copy(entry.path(), broken.join(entry.file_name())).unwrap();
    }
    let manifest = broken.join("model.json");
    let mut told: Value = serde_json::from_slice(&std::fs::read(&manifest).unwrap()).unwrap();
    let wide = json!(1_u64 << 62);
    told["text_encoder"]["max_tokens"] = wide.clone();
    told["transformer"]["config"]["text_len"] = wide;
    std::fs::write(&manifest, told.to_string()).unwrap();
}

/// Puts the file's birth where no date can be written, so that the handler that tells it panics.
async fn spoil_the_date(folder: &Path, file: &str) {
    let options = SqliteConnectOptions::new().filename(folder.join("data/wanserve.db"));
    let mut database = options.connect().await.unwrap();
    let sql = "update files set record = json_set(record, '$.created_at', 999999999999999) where id = ?";
    let changed = sqlx::query(sql).bind(file).execute(&mut database).await.unwrap();
    assert_eq!(changed.rows_affected(), 1);
}

/// A good picture that carries more than pixels.
fn picture() -> Vec<u8> {
    [png(160, 160), b"canary-bytes of the picture".to_vec()].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_of_a_caller_comes_out_where_it_does_not_belong() {
    let folder = tempfile::tempdir().unwrap();
    let models = folder.path().join("models");
    model_that_panics(&models);
    let (port, bucket) = (broken_receiver().await, Bucket::start().await);
    let variables = [
        ("WANSERVE_MODELS_DIRS", models.to_str().unwrap()),
        ("WANSERVE_WORKERS_DEVICES", "cpu"),
        ("WANSERVE_LOG_FILTER", "trace"),
        ("WANSERVE_AUTH_PEPPER", PEPPER),
        ("WANSERVE_AUTH_SIGNING_KEY", "canary-signing-0123456789"),
        ("WANSERVE_WORKERS_TOKEN", "canary-token-0123456789"),
        ("WANSERVE_METRICS_TOKEN", METRICS_TOKEN),
        ("WANSERVE_OUTGOING_ALLOW_CIDRS", "127.0.0.1"),
        ("WANSERVE_OUTGOING_EXTRA_PORTS", &port.to_string()),
        ("WANSERVE_OUTGOING_WEBHOOK_HTTP", "true"),
        ("WANSERVE_STORAGE_KIND", "s3"),
        ("WANSERVE_STORAGE_ENDPOINT", &bucket.endpoint),
        ("WANSERVE_STORAGE_BUCKET", BUCKET),
        ("WANSERVE_STORAGE_PATH_STYLE", "true"),
        ("WANSERVE_STORAGE_ACCESS_KEY_ID", ACCESS_KEY),
        ("WANSERVE_STORAGE_SECRET_ACCESS_KEY", SECRET_KEY),
        ("WANSERVE_CONTENT_DELIVERY", "redirect"),
    ];
    let server = Program::start(folder.path(), &variables);
    let key = server.key();
    let http = Http::new(&server.base, &key);
    let receiver = |path: &str| format!("http://127.0.0.1:{port}/{path}?t=canary-query");

    // What is taken: endpoints, a token, a file, and a job that the engine panics over.
    let endpoint = json!({ "url": receiver("canary-endpoint"), "events": ["video.failed"], "description": "canary-words" });
    let endpoint = http.json(Method::POST, "/v1/webhook_endpoints", Some(endpoint)).await;
    let rotated = format!("/v1/webhook_endpoints/{}/rotate_secret", endpoint["id"].as_str().unwrap());
    let rotated = http.json(Method::POST, &rotated, Some(json!({}))).await;
    let callback = http.json(Method::GET, "/v1/webhook_endpoints/callback", None).await;
    let ask = json!({ "scopes": ["videos.read"] });
    let token = http.json(Method::POST, "/v1/tokens", Some(ask)).await["token"].as_str().unwrap().to_owned();
    let file: Value = http.upload("canary-name.png", &picture()).await.json().await.unwrap();
    let file = file["id"].as_str().unwrap().to_owned();
    let body = json!({
        "prompt": "canary-prompt",
        "metadata": { "canary-name": "canary-value" },
        "callback_url": receiver("canary-callback"),
        "image": encoded(&picture()),
        "num_frames": 17,
        "num_steps": 1,
    });
    let create = http.request(Method::POST, "/v1/videos/from-image").header("idempotency-key", "canary-once");
    let job: Value = create.json(&body).send().await.unwrap().json().await.unwrap();
    let video = job["id"].as_str().unwrap_or_else(|| panic!("no job: {job}"));
    let admin = new_key(folder.path(), "admin", &[("WANSERVE_AUTH_PEPPER", PEPPER)]);
    let organization = Http::new(&server.base, &admin);
    let audit = organization.json(Method::GET, "/v1/organization/audit_logs", None).await;
    assert!(audit["data"].as_array().is_some_and(|entries| entries.len() >= 2), "{audit}");
    let read = Http::new(&server.base, &token).json(Method::GET, &format!("/v1/videos/{video}"), None).await;
    assert_eq!(read["id"], video);

    // What is refused is answered and logged too.
    let mut refusals = Vec::new();
    for image in [
        receiver("canary-picture"),
        "http://10.0.0.1/canary-address".to_owned(),
        "https://canary-user:canary-password@example.com/canary-path?canary-query#canary-fragment".to_owned(),
        encoded(b"canary-bytes that are no picture"),
        "data:canary/type;base64,canary".to_owned(),
        "canary-scheme://x".to_owned(),
    ] {
        let body = json!({ "prompt": "canary-prompt", "image": image });
        refusals.push((400, http.refusal("/v1/videos/from-image", &body).await));
    }
    for body in [
        json!({ "prompt": "canary-prompt", "callback_url": "https://canary-user:canary-password@example.com/?canary" }),
        json!({ "prompt": "canary-prompt", "metadata": { "canary-name": 1 } }),
        json!({ "prompt": ["canary-prompt"] }),
        json!({ "prompt": "canary-prompt", "unknown": "canary-value" }),
        json!("canary-prompt"),
    ] {
        refusals.push((400, http.refusal("/v1/videos/generations", &body).await));
    }
    for credential in ["canary-key", &format!("{key}x"), &format!("{token}x"), "vk_proj_canary"] {
        let stranger = Http::new(&server.base, credential);
        refusals.push((401, stranger.refusal("/v1/videos/generations", &json!({})).await));
    }
    refusals.push((403, organization.refusal("/v1/videos/generations", &json!({})).await));
    let page = http.request(Method::GET, "/v1/videos?after=canary-page&access_token=canary-access");
    let page = page.header("cookie", "canary-cookie").send().await.unwrap();
    refusals.push((400, (page.status().as_u16(), page.text().await.unwrap())));
    let reused = http.request(Method::POST, "/v1/videos/from-image").header("idempotency-key", "canary-once");
    let other = json!({ "prompt": "canary-other", "image": encoded(&picture()) });
    let reused = reused.json(&other).send().await.unwrap();
    refusals.push((422, (reused.status().as_u16(), reused.text().await.unwrap())));

    // Panics: of a handler, and of the worker at every attempt.
    spoil_the_date(folder.path(), &file).await;
    let panicked = http.request(Method::GET, &format!("/v1/files/{file}/content?canary-query")).send().await;
    let panicked = panicked.expect("whoever asked is answered");
    assert!(panicked.headers().contains_key("x-request-id"), "{panicked:?}");
    refusals.push((500, (panicked.status().as_u16(), panicked.text().await.unwrap())));
    let ended = http.ended(video).await;
    assert_eq!(ended["status"], "failed", "{ended}");
    let failed = |page: &Value| page["data"].as_array().is_some_and(|all| all.len() == 2);
    http.until("/v1/webhook_deliveries?state=failed", failed).await;

    let scraper = Http::new(&server.base, METRICS_TOKEN);
    let (status, metrics) = scraper.bytes("/metrics", ("accept", "*/*")).await;
    assert_eq!(status, 200);
    let log = server.log();
    for word in ["a picture was not fetched", "answered", "panicked", "httpdate", "thread=\"engine\""] {
        assert!(log.contains(word), "the log is talkative and tells of {word}:\n{log}");
    }
    let mut told = log + std::str::from_utf8(&metrics).unwrap() + &audit.to_string();
    for (expected, (status, text)) in refusals {
        assert_eq!(status, expected, "{text}");
        told.push_str(&text);
        told.push('\n');
    }
    let announced = |line: &String| line.starts_with("api key: ") || line.starts_with("curl ");
    told.extend(server.said().into_iter().filter(|line| !announced(line)).map(|line| line + "\n"));

    let mut secrets: Vec<String> = [&endpoint, &rotated, &callback]
        .map(|owner| owner["secret"].as_str().unwrap()["whsec_".len()..].to_owned())
        .into();
    secrets.extend(
        ["canary", &key, &admin, &token, ACCESS_KEY, SECRET_KEY, "X-Amz-Signature"].map(str::to_owned),
    );
    let leaks: Vec<&str> =
        told.lines().filter(|line| secrets.iter().any(|secret| line.contains(secret.as_str()))).collect();
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
}
