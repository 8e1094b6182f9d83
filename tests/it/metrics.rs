//! The page of metrics against the contract's list, and the numbers that follow projects and streams.

use futures_util::StreamExt;
use serde_json::json;
use wanserve::domain::event::EventKind;
use wanserve::domain::limits::{Allowance, Limits};
use wanserve::metrics::Metrics;

use crate::support::{Answer, Client, Script, Setup, TestApp};

const B1: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
const B2: &[f64] =
    &[0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0, 1280.0, 3600.0];
const B3: &[f64] = &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0];
const RATE: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0];

/// As the contract lists them: name, kind, labels, buckets.
const CONTRACT: &[(&str, &str, &str, &[f64])] = &[
    ("build_info", "Gauge", "version commit rustc", &[]),
    ("http_requests_total", "Counter", "method route status", &[]),
    ("http_request_duration_seconds", "Histogram", "method route", B1),
    ("http_requests_in_flight", "Gauge", "", &[]),
    ("sse_streams", "Gauge", "", &[]),
    ("auth_failures_total", "Counter", "reason", &[]),
    ("rate_limited_total", "Counter", "project limit", &[]),
    ("idempotent_replays_total", "Counter", "kind", &[]),
    ("jobs_submitted_total", "Counter", "project model operation", &[]),
    ("jobs_finished_total", "Counter", "project model operation outcome", &[]),
    ("job_failures_total", "Counter", "model code", &[]),
    ("job_attempts_total", "Counter", "model", &[]),
    ("queue_depth", "Gauge", "model", &[]),
    ("queue_oldest_age_seconds", "Gauge", "model", &[]),
    ("jobs_running", "Gauge", "model worker", &[]),
    ("job_queue_wait_seconds", "Histogram", "model", B2),
    ("job_duration_seconds", "Histogram", "model resolution num_steps", B2),
    ("stage_duration_seconds", "Histogram", "model stage", B3),
    ("denoise_step_duration_seconds", "Histogram", "model resolution expert", B3),
    ("frames_generated_total", "Counter", "model resolution", &[]),
    ("generation_frames_per_second", "Histogram", "model resolution num_steps", RATE),
    ("video_seconds_generated_total", "Counter", "project model", &[]),
    ("gpu_seconds_total", "Counter", "project model", &[]),
    ("gpu_busy_seconds_total", "Counter", "worker gpu", &[]),
    ("project_active_jobs", "Gauge", "project", &[]),
    ("project_gpu_quota_seconds", "Gauge", "project window", &[]),
    ("project_gpu_used_seconds", "Gauge", "project window", &[]),
    ("gpu_info", "Gauge", "worker gpu uuid name driver compute_capability", &[]),
    ("gpu_memory_used_bytes", "Gauge", "worker gpu", &[]),
    ("gpu_memory_capacity_bytes", "Gauge", "worker gpu", &[]),
    ("gpu_process_memory_used_bytes", "Gauge", "worker gpu", &[]),
    ("gpu_utilization_ratio", "Gauge", "worker gpu", &[]),
    ("gpu_power_watts", "Gauge", "worker gpu", &[]),
    ("gpu_temperature_celsius", "Gauge", "worker gpu", &[]),
    ("gpu_out_of_memory_total", "Counter", "worker model", &[]),
    ("worker_state", "Gauge", "worker state", &[]),
    ("worker_restarts_total", "Counter", "worker reason", &[]),
    ("model_loaded", "Gauge", "worker model quant_linear", &[]),
    ("model_load_duration_seconds", "Histogram", "model", B2),
    ("storage_operation_duration_seconds", "Histogram", "operation outcome", B1),
    ("storage_uploaded_bytes_total", "Counter", "variant", &[]),
    ("content_served_bytes_total", "Counter", "variant", &[]),
    ("webhook_deliveries_total", "Counter", "type outcome", &[]),
    ("webhook_delivery_duration_seconds", "Histogram", "", B1),
    ("webhook_pending", "Gauge", "", &[]),
    ("outbound_blocked_total", "Counter", "purpose", &[]),
];

/// Of the contract, with buckets that are powers and no list: 2^32 to 2^37 bytes by factors of √2.
const PEAK: &str = "wanserve_gpu_job_peak_memory_bytes";

/// What this server tells besides.
const OURS: [&str; 5] = [
    "wanserve_gpu_memory_reserved_bytes",
    "wanserve_lease_expired_total",
    "wanserve_model_move_duration_seconds",
    "wanserve_model_moves_total",
    "wanserve_stale_complete_total",
];

#[test]
fn what_the_contract_lists_is_declared_and_nothing_else_unnamed() {
    for (name, kind, labels, buckets) in CONTRACT {
        let full = format!("wanserve_{name}");
        let declared = Metrics::DECLARED.iter().find(|(name, ..)| *name == full);
        let labels: Vec<&str> = labels.split_whitespace().collect();
        let expected = (full.as_str(), *kind, labels.as_slice(), *buckets);
        assert_eq!(declared, Some(&expected), "{full}");
    }
    let (_, kind, labels, buckets) = Metrics::DECLARED.iter().find(|(name, ..)| *name == PEAK).unwrap();
    assert_eq!((*kind, *labels), ("Histogram", ["model", "resolution"].as_slice()));
    for (power, bytes) in buckets.iter().enumerate() {
        let exact = 2f64.powf(32.0 + power as f64 / 2.0);
        assert!((bytes - exact).abs() <= 1.0, "{bytes} is not {exact}");
    }
    assert_eq!(buckets.len(), 11);
    let mut further: Vec<&str> = Metrics::NAMES.to_vec();
    further.retain(|name| *name != PEAK && !CONTRACT.iter().any(|(known, ..)| name[9..] == **known));
    further.sort_unstable();
    assert_eq!(further, OURS);
}

async fn page(client: &Client) -> String {
    let answer = client.get("/metrics").await;
    assert_eq!(answer.status, 200);
    String::from_utf8(answer.body.to_vec()).unwrap()
}

fn has(page: &str, line: &str) {
    assert!(page.lines().any(|found| found == line), "{line} is not in:\n{page}");
}

#[tokio::test]
async fn what_may_happen_is_shown_before_it_does() {
    let app = TestApp::start().await;
    let page = page(&app.anonymous()).await;
    let kinds = EventKind::ALL.map(EventKind::as_str);
    for kind in kinds.into_iter().chain(["endpoint.test"]) {
        for outcome in ["delivered", "failed", "exhausted"] {
            has(
                &page,
                &format!("wanserve_webhook_deliveries_total{{outcome=\"{outcome}\",type=\"{kind}\"}} 0"),
            );
        }
    }
    for reason in ["invalid_api_key", "token_expired", "insufficient_scope", "mismatched_project"] {
        has(&page, &format!("wanserve_auth_failures_total{{reason=\"{reason}\"}} 0"));
    }
    for kind in ["key", "retry_guard"] {
        has(&page, &format!("wanserve_idempotent_replays_total{{kind=\"{kind}\"}} 0"));
    }
    has(&page, "wanserve_sse_streams 0");
}

#[tokio::test]
async fn open_streams_are_counted_until_they_are_closed() {
    let app = TestApp::start().await;
    let client = app.client();
    let id = client.submit().await;
    let open = |id: String| {
        let request = client.request(reqwest::Method::GET, &format!("/v1/videos/{id}/events"));
        async move { request.send().await.unwrap().bytes_stream() }
    };
    let (mut one, two) = (open(id.clone()).await, open(id.clone()).await);
    one.next().await.unwrap().unwrap();
    assert_eq!(app.metrics.sse_streams.value([]), 2.0);
    drop(two);
    drop(one);
    // The server learns that its client is gone when it has something to say.
    client.post_empty(&format!("/v1/videos/{id}/cancel")).await;
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    while app.metrics.sse_streams.value([]) != 0.0 {
        assert!(tokio::time::Instant::now() < deadline, "a stream stays open");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let ended = Answer::of(client.request(reqwest::Method::GET, &format!("/v1/videos/{id}/events"))).await;
    assert_eq!((ended.status, app.metrics.sse_streams.value([])), (200, 0.0));
}

#[tokio::test]
async fn what_projects_use_and_may_use_is_read_at_each_scrape() {
    let number = std::num::NonZeroU32::new;
    let project = Allowance { gpu_seconds_per_day: number(3600), ..Allowance::default() };
    let limits = Limits { project, ..Limits::default() };
    let app = TestApp::with(Setup { limits: Some(limits), ..Setup::default() }).await;
    let client = app.client();
    let first = client.submit().await;
    client.submit().await;
    let label = app.scope.project.to_string();
    let seen = page(&app.anonymous()).await;
    has(&seen, &format!("wanserve_project_active_jobs{{project=\"{label}\"}} 2"));
    has(&seen, &format!("wanserve_project_gpu_quota_seconds{{project=\"{label}\",window=\"day\"}} 3600"));
    has(&seen, &format!("wanserve_project_gpu_used_seconds{{project=\"{label}\",window=\"day\"}} 0"));
    let unlimited = format!("wanserve_project_gpu_quota_seconds{{project=\"{label}\",window=\"month\"}}");
    assert!(!seen.contains(&unlimited), "{seen}");
    client.post_empty(&format!("/v1/videos/{first}/cancel")).await;
    let _worker = app.worker(Script::Complete).await;
    client.until_at("/v1/limits", |limits| limits["usage"]["active_jobs"] == json!(0)).await;
    let seen = page(&app.anonymous()).await;
    has(&seen, &format!("wanserve_project_active_jobs{{project=\"{label}\"}} 0"));
    for window in ["day", "month"] {
        has(
            &seen,
            &format!("wanserve_project_gpu_used_seconds{{project=\"{label}\",window=\"{window}\"}} 0.75"),
        );
    }
}
