//! The program and its real worker over a bucket that breaks while a clip is made: the clip waits, is told about, and
//! arrives; and nothing that opens the bucket stands in a log. One clip, so it takes its ten seconds and more.

use std::time::Instant;

use reqwest::Method;
use serde_json::{Value, json};

use super::program::{DEADLINE, Http, Program};
use crate::prometheus::{promtool, sum};
use crate::support::{ACCESS_KEY, BUCKET, Bucket, Mood, SECRET_KEY};

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
