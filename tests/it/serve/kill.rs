//! A worker that dies takes nothing with it.

use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};

use super::program::{Http, Program, operator_key};

#[tokio::test]
async fn a_killed_worker_costs_one_attempt_and_no_job() {
    let folder = tempfile::tempdir().unwrap();
    let server = Program::start(folder.path(), &[]);
    let http = Http::new(&server.base, &server.key());
    let admin = Http::new(&server.admin, &operator_key(folder.path()));
    let id = http.submit(2).await;
    http.job_until(&id, |job| job["stage"] == "denoising").await;

    let workers = admin.json(Method::GET, "/admin/v1/workers", None).await;
    let worker = &workers["data"][0];
    assert_eq!(
        (worker["state"].as_str(), worker["current_video_id"].as_str()),
        (Some("busy"), Some(id.as_str()))
    );
    let process = worker["process_id"].as_i64().unwrap() as i32;
    kill_process(Pid::from_raw(process).unwrap(), Signal::KILL).unwrap();

    let done = http.ended(&id).await;
    assert_eq!((done["status"].as_str(), done["attempt"].as_u64()), (Some("completed"), Some(2)), "{done}");
    let fresh = admin.until("/admin/v1/workers/cpu", |worker| worker["state"] == "idle").await;
    assert_ne!(fresh["process_id"].as_i64(), Some(i64::from(process)));
    let (_, metrics) = http.bytes("/metrics", ("accept", "*/*")).await;
    let line = "wanserve_worker_restarts_total{reason=\"crash\",worker=\"cpu\"} 1";
    assert!(String::from_utf8(metrics).unwrap().contains(line));
}

#[tokio::test]
async fn a_worker_that_hangs_is_replaced_and_its_job_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let server = Program::start(folder.path(), &[]);
    let http = Http::new(&server.base, &server.key());
    let admin = Http::new(&server.admin, &operator_key(folder.path()));
    let id = http.submit(1).await;
    http.job_until(&id, |job| job["status"] == "in_progress").await;
    let workers = admin.json(Method::GET, "/admin/v1/workers", None).await;
    let process = workers["data"][0]["process_id"].as_i64().unwrap() as i32;
    kill_process(Pid::from_raw(process).unwrap(), Signal::STOP).unwrap();
    let done = http.ended(&id).await;
    assert_eq!((done["status"].as_str(), done["attempt"].as_u64()), (Some("completed"), Some(2)), "{done}");
}

#[tokio::test]
async fn an_operator_restarts_a_worker_and_others_may_not() {
    let folder = tempfile::tempdir().unwrap();
    let server = Program::start(folder.path(), &[]);
    let operator = operator_key(folder.path());
    let admin = Http::new(&server.admin, &operator);
    let before = admin.until("/admin/v1/workers", |list| list["data"][0]["state"] == "idle").await;
    let before = before["data"][0]["process_id"].as_i64();
    let path = "/admin/v1/workers/cpu/restart";
    admin.json(Method::POST, path, Some(serde_json::json!({"mode": "soft"}))).await;
    let reached = |list: &serde_json::Value| {
        let worker = &list["data"][0];
        worker["state"] == "idle" && worker["process_id"].as_i64() != before
    };
    admin.until("/admin/v1/workers", reached).await;

    let project = Http::new(&server.admin, &server.key());
    assert_eq!(project.bytes("/admin/v1/workers", ("accept", "*/*")).await.0, 403);
    let nobody = Http::new(&server.admin, "nonsense");
    assert_eq!(nobody.bytes("/admin/v1/queue", ("accept", "*/*")).await.0, 401);
    assert_eq!(nobody.bytes("/elsewhere", ("accept", "*/*")).await.0, 404);
}

#[tokio::test]
async fn workers_die_with_a_server_that_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Program::start(folder.path(), &[]);
    let admin = Http::new(&server.admin, &operator_key(folder.path()));
    let workers = admin.until("/admin/v1/workers", |list| list["data"][0]["process_id"].is_i64()).await;
    let process = workers["data"][0]["process_id"].as_i64().unwrap();
    server.signal(Signal::KILL);
    server.ended();
    let deadline = std::time::Instant::now() + super::program::DEADLINE;
    while is_running(process) {
        assert!(std::time::Instant::now() < deadline, "worker {process} outlives its server");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// Neither gone nor waiting to be collected.
fn is_running(process: i64) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    status.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}
