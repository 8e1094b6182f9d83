//! What Prometheus is given, judged by its own tool, which `scripts/setup.sh` fetches: the page of metrics before and after a
//! job, and the rules that operators are woken by.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use reqwest::Method;

use crate::support::{Answer, Script, TestApp};

/// What a finished job adds to.
const ADVANCE: [&str; 8] = [
    "wanserve_jobs_submitted_total",
    "wanserve_jobs_finished_total",
    "wanserve_job_attempts_total",
    "wanserve_frames_generated_total",
    "wanserve_video_seconds_generated_total",
    "wanserve_gpu_seconds_total",
    "wanserve_job_duration_seconds_count",
    "wanserve_job_queue_wait_seconds_count",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs the tool; fails with what it says unless it is content and silent about style too.
pub(crate) fn promtool(arguments: &[&str], input: &str) {
    let ours: PathBuf = root().join(".tools/promtool");
    let program = if ours.exists() { ours } else { PathBuf::from("promtool") };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("promtool is there: scripts/setup.sh");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "{arguments:?}: {complaints}");
}

async fn page(app: &TestApp) -> String {
    let answer = Answer::of(app.anonymous().request(Method::GET, "/metrics")).await;
    String::from_utf8(answer.body.to_vec()).unwrap()
}

/// The sum over all labels.
pub(crate) fn sum(page: &str, name: &str) -> f64 {
    let lines = page.lines().filter_map(|line| line.strip_prefix(name));
    let own = lines.filter(|rest| rest.starts_with(['{', ' ']));
    own.map(|rest| rest.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

#[tokio::test]
async fn prometheus_takes_the_page_and_a_job_advances_it() {
    let app = TestApp::start().await;
    let client = app.client();
    let before = page(&app).await;
    promtool(&["check", "metrics"], &before);
    let id = client.submit().await;
    let _worker = app.worker(Script::Complete).await;
    client.until(&id, |job| job["status"] == "completed").await;
    let after = page(&app).await;
    promtool(&["check", "metrics"], &after);
    for name in ADVANCE {
        assert!(sum(&after, name) > sum(&before, name), "{name} stays {}\n{after}", sum(&after, name));
    }
}

#[test]
fn the_rules_and_the_configuration_are_taken() {
    let folder = root().join("docker/prometheus");
    let rules = folder.join("alerts.yaml");
    promtool(&["check", "rules", "--lint-fatal", rules.to_str().unwrap()], "");
    // The file names the rules and the token by their places in the container.
    let there = fs::read_to_string(folder.join("prometheus.yaml")).unwrap();
    let here = tempfile::tempdir().unwrap();
    let config = here.path().join("prometheus.yaml");
    let token = here.path().join("token");
    fs::write(&token, "a token").unwrap();
    let places = [("/etc/prometheus", folder.as_path()), ("/run/secrets/metrics_token", token.as_path())];
    let text = places.iter().fold(there, |text, (there, here)| text.replace(there, here.to_str().unwrap()));
    fs::write(&config, text).unwrap();
    promtool(&["check", "config", config.to_str().unwrap()], "");
}
