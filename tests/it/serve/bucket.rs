//! The program and its real worker over a bucket that breaks while a clip is made: the clip waits, is told about, and
//! arrives; and nothing that opens the bucket stands in a log. One clip, so it takes its ten seconds and more.
//! And credentials that are lent to it for seconds.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::program::{DEADLINE, Http, Program};
use crate::prometheus::{promtool, sum};
use crate::support::{ACCESS_KEY, BUCKET, Bucket, Mood, SECRET_KEY, png};

/// What readiness says of the storage.
async fn storage_is(http: &Http, wanted: &str) {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let (status, body) = http.bytes("/readyz", ("accept", "*/*")).await;
        let told: Value = serde_json::from_slice(&body).unwrap();
        if told["checks"]["storage"] == wanted {
            assert!(status == 503 || wanted == "ok", "{told}");
            return;
        }
        assert!(Instant::now() < deadline, "storage is never {wanted}: {told}");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clip_waits_for_its_bucket_and_no_log_opens_it() {
    let folder = tempfile::tempdir().unwrap();
    let bucket = Bucket::start().await;
    let server = Program::start(
        folder.path(),
        &[
            ("WANSERVE_STORAGE_KIND", "s3"),
            ("WANSERVE_STORAGE_ENDPOINT", &bucket.endpoint),
            ("WANSERVE_STORAGE_BUCKET", BUCKET),
            ("WANSERVE_STORAGE_PATH_STYLE", "true"),
            ("WANSERVE_STORAGE_ACCESS_KEY_ID", ACCESS_KEY),
            ("WANSERVE_STORAGE_SECRET_ACCESS_KEY", SECRET_KEY),
            ("WANSERVE_CONTENT_DELIVERY", "redirect"),
            ("WANSERVE_LOG_FILTER", "trace"),
        ],
    );
    let http = Http::new(&server.base, &server.key());
    storage_is(&http, "ok").await;
    bucket.turn(Mood::Down);
    let video = http.submit(1).await;
    let uploading = |job: &Value| {
        job["stage"] == "uploading" || job["status"] != "queued" && job["progress"].as_u64() > Some(90)
    };
    http.job_until(&video, uploading).await;
    bucket.until_asked(4).await;
    storage_is(&http, "down").await;
    bucket.turn(Mood::Full);
    storage_is(&http, "full").await;
    bucket.turn(Mood::Silent);
    storage_is(&http, "slow").await;
    let waiting = http.json(Method::GET, &format!("/v1/videos/{video}"), None).await;
    assert_eq!((&waiting["status"], &waiting["attempt"]), (&json!("in_progress"), &json!(1)), "{waiting}");
    bucket.turn(Mood::Works);
    let done = http.ended(&video).await;
    assert_eq!((&done["status"], &done["attempt"]), (&json!("completed"), &json!(1)), "{done}");
    storage_is(&http, "ok").await;
    let (status, _) = http.bytes(&format!("/v1/videos/{video}/content"), ("accept", "*/*")).await;
    assert_eq!(status, 302);
    let link = http.json(Method::GET, &format!("/v1/videos/{video}/download_url"), None).await;
    let signature = link["url"].as_str().unwrap().split_once("X-Amz-Signature=").unwrap().1.to_owned();

    let (_, metrics) = http.bytes("/metrics", ("accept", "*/*")).await;
    let metrics = String::from_utf8(metrics).unwrap();
    promtool(&["check", "metrics"], &metrics);
    assert_eq!(sum(&metrics, "wanserve_queue_depth"), 0.0);
    let (used, capacity) = ("wanserve_gpu_memory_used_bytes", "wanserve_gpu_memory_capacity_bytes");
    assert!(sum(&metrics, used) <= sum(&metrics, capacity), "{metrics}");
    let log = server.log();
    assert!(
        log.contains("the storage cannot be written to") && log.contains("a transfer is tried again"),
        "{log}"
    );
    let told = log + &metrics;
    for secret in [SECRET_KEY, ACCESS_KEY, "X-Amz-Signature", "X-Amz-Credential", &signature] {
        let leaks: Vec<&str> = told.lines().filter(|line| line.contains(secret)).collect();
        assert!(leaks.is_empty(), "{}", leaks.join("\n"));
    }
}

/// Lends credentials that end in so many seconds, as the agent of a container does to whoever shows its word.
async fn lender(now: Arc<Mutex<(&'static str, &'static str)>>, seconds: i64) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/lend", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let Ok(byte) = stream.read_u8().await else { break };
                head.push(byte);
            }
            let shown = String::from_utf8(head).unwrap().contains("canary-word-of-the-container");
            let ends = time::OffsetDateTime::now_utc() + time::Duration::seconds(seconds);
            let ends = ends.format(&time::format_description::well_known::Rfc3339).unwrap();
            let (id, secret) = *now.lock().unwrap();
            let body = json!({ "AccessKeyId": id, "SecretAccessKey": secret, "Token": "canary-token", "Expiration": ends });
            let (status, body) = if shown { (200, body.to_string()) } else { (403, String::new()) };
            let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await.ok();
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_of_the_machine_are_asked_for_again_when_they_end() {
    let folder = tempfile::tempdir().unwrap();
    let bucket = Bucket::start().await;
    let lent = Arc::new(Mutex::new((ACCESS_KEY, SECRET_KEY)));
    let server = Program::start(
        folder.path(),
        &[
            ("WANSERVE_STORAGE_KIND", "s3"),
            ("WANSERVE_STORAGE_CREDENTIALS", "machine"),
            ("WANSERVE_STORAGE_ENDPOINT", &bucket.endpoint),
            ("WANSERVE_STORAGE_BUCKET", BUCKET),
            ("WANSERVE_STORAGE_PATH_STYLE", "true"),
            ("WANSERVE_WORKERS_DEVICES", "none"),
            ("WANSERVE_LOG_FILTER", "trace"),
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &lender(lent.clone(), 8).await),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "canary-word-of-the-container"),
        ],
    );
    let http = Http::new(&server.base, &server.key());
    storage_is(&http, "ok").await;
    let (id, secret) = ("AKIDOFTHETESTS000002", "another-secret-9876543210");
    *lent.lock().unwrap() = (id, secret);
    bucket.hand_over(id, secret);
    let deadline = Instant::now() + DEADLINE;
    while http.upload("a.png", &png(64, 64)).await.status() != 200 {
        assert!(Instant::now() < deadline, "the credentials are not asked for again");
    }
    let told = server.log();
    for word in [ACCESS_KEY, SECRET_KEY, id, secret, "canary"] {
        let leaks: Vec<&str> = told.lines().filter(|line| line.contains(word)).collect();
        assert!(leaks.is_empty(), "{}", leaks.join("\n"));
    }
}
