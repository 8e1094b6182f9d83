//! A stop in order: what runs is finished or handed back, and the process ends.

use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};

use super::program::{Http, Program, operator_key};

#[tokio::test]
async fn a_stop_waits_for_the_running_job() {
    let folder = tempfile::tempdir().unwrap();
    let patience = [("WANSERVE_WORKERS_DRAIN_SECONDS", "200")];
    let mut server = Program::start(folder.path(), &patience);
    let key = server.key();
    let http = Http::new(&server.base, &key);
    let id = http.submit(1).await;
    http.job_until(&id, |job| job["status"] == "in_progress").await;
    server.signal(Signal::TERM);
    assert!(server.ended().success(), "{}", server.log());

    let server = Program::start(folder.path(), &[]);
    assert!(!server.lines.iter().any(|line| line.starts_with("api key")), "a second start makes no key");
    let done = Http::new(&server.base, &key).ended(&id).await;
    assert_eq!((done["status"].as_str(), done["attempt"].as_u64()), (Some("completed"), Some(1)), "{done}");
}

#[tokio::test]
async fn a_stop_without_patience_hands_the_job_back_at_no_cost() {
    let folder = tempfile::tempdir().unwrap();
    let impatience = [("WANSERVE_WORKERS_DRAIN_SECONDS", "1")];
    let mut server = Program::start(folder.path(), &impatience);
    let key = server.key();
    let http = Http::new(&server.base, &key);
    let id = http.submit(4).await;
    http.job_until(&id, |job| job["stage"] == "denoising").await;
    server.signal(Signal::INT);
    assert!(server.ended().success(), "{}", server.log());

    let server = Program::start(folder.path(), &[]);
    let done = Http::new(&server.base, &key).ended(&id).await;
    assert_eq!((done["status"].as_str(), done["attempt"].as_u64()), (Some("completed"), Some(1)), "{done}");
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_worker_that_never_answers() {
    let folder = tempfile::tempdir().unwrap();
    let impatience = [("WANSERVE_WORKERS_DRAIN_SECONDS", "1")];
    let mut server = Program::start(folder.path(), &impatience);
    let key = server.key();
    let http = Http::new(&server.base, &key);
    let id = http.submit(4).await;
    http.job_until(&id, |job| job["stage"] == "denoising").await;
    let admin = Http::new(&server.admin, &operator_key(folder.path()));
    let workers = admin.json(Method::GET, "/admin/v1/workers", None).await;
    let process = workers["data"][0]["process_id"].as_i64().unwrap() as i32;
    kill_process(Pid::from_raw(process).unwrap(), Signal::STOP).unwrap();
    server.signal(Signal::TERM);
    assert!(server.ended().success(), "{}", server.log());

    // It was killed under its job, which is an attempt; the job is queued again, and cancelled here to spare its clip.
    let server = Program::start(folder.path(), &[]);
    let http = Http::new(&server.base, &key);
    let job = http.job_until(&id, |job| job["attempt"] == 2).await;
    assert_eq!((job["status"].as_str(), &job["error"]), (Some("in_progress"), &serde_json::Value::Null));
    http.json(Method::POST, &format!("/v1/videos/{id}/cancel"), None).await;
    assert_eq!(http.ended(&id).await["error"]["code"], "cancelled");
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let patience = [("WANSERVE_WORKERS_DRAIN_SECONDS", "200")];
    let mut server = Program::start(folder.path(), &patience);
    let http = Http::new(&server.base, &server.key());
    let id = http.submit(4).await;
    http.job_until(&id, |job| job["status"] == "in_progress").await;
    server.signal(Signal::TERM);
    http.until_status("/readyz", 503).await;
    let (_, readiness) = http.bytes("/readyz", ("accept", "*/*")).await;
    let readiness: serde_json::Value = serde_json::from_slice(&readiness).unwrap();
    let reasons = readiness["reasons"].as_array().unwrap();
    assert!(reasons.iter().any(|reason| reason == "draining"), "{readiness}");
    server.signal(Signal::TERM);
    assert_eq!(server.ended().code(), Some(130), "{}", server.log());
}
