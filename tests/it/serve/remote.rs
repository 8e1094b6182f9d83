//! Workers of other machines, which come over TCP with a token.

use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use wanserve::worker::Ended;

use super::program::{Http, Program, command, operator_key};

const TOKEN: &str = "a-token-for-workers-of-tests";

#[tokio::test]
async fn a_worker_joins_over_the_network_and_leaves_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let none = [("WANSERVE_WORKERS_DEVICES", "none"), ("WANSERVE_WORKERS_TOKEN", TOKEN)];
    let server = Program::start(folder.path(), &none);
    let admin = Http::new(&server.admin, &operator_key(folder.path()));
    let mut worker = command(&["worker", "--api", &server.base, "--name", "far/cpu"]);
    let mut worker = worker.env("WANSERVE_WORKERS_TOKEN", TOKEN).stderr(Stdio::null()).spawn().unwrap();
    let joined = |list: &serde_json::Value| list["data"][0]["models"][0]["resident"] == true;
    let seen = admin.until("/admin/v1/workers", joined).await;
    assert_eq!(seen["data"][0]["name"], "far/cpu");
    kill_process(Pid::from_child(&worker), Signal::TERM).unwrap();
    assert!(worker.wait().unwrap().success());
}

#[test]
fn a_worker_with_a_wrong_token_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let none = [("WANSERVE_WORKERS_DEVICES", "none"), ("WANSERVE_WORKERS_TOKEN", TOKEN)];
    let server = Program::start(folder.path(), &none);
    let mut worker = command(&["worker", "--api", &server.base]);
    let refused = worker.env("WANSERVE_WORKERS_TOKEN", "another-token-of-16").output().unwrap();
    let errors = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && errors.contains("does not let this worker in"), "{errors}");
}

/// As after a GPU was lost: its jobs would all fail at once, so that it must not stay and take them.
#[test]
fn a_worker_without_its_device_leaves_for_a_fresh_process() {
    let folder = tempfile::tempdir().unwrap();
    let none = [("WANSERVE_WORKERS_DEVICES", "none"), ("WANSERVE_WORKERS_TOKEN", TOKEN)];
    let server = Program::start(folder.path(), &none);
    let mut worker = command(&["worker", "--api", &server.base, "--device", "cuda:99"]);
    let ended = worker.env("WANSERVE_WORKERS_TOKEN", TOKEN).stderr(Stdio::null()).status().unwrap();
    assert_eq!(ended.code(), Some(Ended::DeviceFailed.exit_code().into()));
}
