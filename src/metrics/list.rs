//! The list of metrics.

use std::sync::{Mutex, PoisonError};

use prometheus::process_collector::ProcessCollector;
use prometheus::{Registry, TextEncoder};

use super::kind::{Counter, Gauge, Histogram};
use super::project::ProjectLabels;

/// Seconds of requests and storage operations.
const REQUEST_SECONDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Seconds of whole jobs, up to the longest allowed wait.
const JOB_SECONDS: &[f64] =
    &[0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0, 1280.0, 3600.0];

/// Seconds of one stage or step.
const STAGE_SECONDS: &[f64] =
    &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0];

/// Frames a second; 16 is real time.
const FRAMES_PER_SECOND: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0];

/// 4 GiB to 128 GiB by factors of √2: cards have 24 to 141 GiB.
const MEMORY_BYTES: &[f64] = &[
    4294967296.0,
    6074000999.0,
    8589934592.0,
    12148001999.0,
    17179869184.0,
    24296003999.0,
    34359738368.0,
    48592007999.0,
    68719476736.0,
    97184015999.0,
    137438953472.0,
];

macro_rules! metrics {
    (@) => { &[] };
    (@ $buckets:ident) => { $buckets };
    ($(#[doc = $help:literal] $field:ident: $kind:ident[$($label:literal),*] $(in $buckets:ident)?;)+) => {
        /// Every metric of the program.
        pub struct Metrics {
            registry: Registry,
            projects: ProjectLabels,
            /// Brings gauges up to date before each scrape; the lock keeps scrapes from meeting half-set gauges.
            refresh: Mutex<Option<Refresh>>,
            $(#[doc = $help] pub $field: $kind<{ <[&str]>::len(&[$($label),*]) }>,)+
        }

        impl Metrics {
            fn declare(registry: Registry) -> Self {
                Self {
                    $($field: $kind::register(
                        &registry,
                        concat!("wanserve_", stringify!($field)),
                        $help.trim(),
                        [$($label),*],
                        $($buckets,)?
                    ),)+
                    projects: ProjectLabels::default(),
                    refresh: Mutex::default(),
                    registry,
                }
            }

            /// The name of every metric of ours.
            pub const NAMES: &[&str] = &[$(concat!("wanserve_", stringify!($field))),+];

            /// Name, kind, labels and buckets of every metric of ours; only a histogram has buckets.
            pub const DECLARED: &[(&str, &str, &[&str], &[f64])] = &[$(
                (concat!("wanserve_", stringify!($field)), stringify!($kind), &[$($label),*], metrics!(@ $($buckets)?)),
            )+];
        }
    };
}

metrics! {
    /// Always 1; its labels say what is running.
    build_info: Gauge["version", "commit", "rustc"];

    /// Requests answered.
    http_requests_total: Counter["method", "route", "status"];
    /// Seconds from the request's head to the answer's head, without the time that a client asked to wait.
    http_request_duration_seconds: Histogram["method", "route"] in REQUEST_SECONDS;
    /// Requests being answered.
    http_requests_in_flight: Gauge[];
    /// Streams of events that are open.
    sse_streams: Gauge[];
    /// Requests refused because of their credentials.
    auth_failures_total: Counter["reason"];
    /// Requests refused because of a limit.
    rate_limited_total: Counter["project", "limit"];
    /// Requests recognised as repetitions.
    idempotent_replays_total: Counter["kind"];
    /// Bytes of finished files sent to clients.
    content_served_bytes_total: Counter["variant"];

    /// Jobs accepted.
    jobs_submitted_total: Counter["project", "model", "operation"];
    /// Jobs that ended.
    jobs_finished_total: Counter["project", "model", "operation", "outcome"];
    /// Jobs that failed, by the code their owner sees.
    job_failures_total: Counter["model", "code"];
    /// Times a job was handed to a worker, repeats included.
    job_attempts_total: Counter["model"];
    /// Jobs waiting for a worker.
    queue_depth: Gauge["model"];
    /// Seconds that the longest waiting job has waited; 0 with an empty queue.
    queue_oldest_age_seconds: Gauge["model"];
    /// Jobs being worked on.
    jobs_running: Gauge["model", "worker"];
    /// Seconds from submission to the first worker.
    job_queue_wait_seconds: Histogram["model"] in JOB_SECONDS;
    /// Seconds from submission to the end.
    job_duration_seconds: Histogram["model", "resolution", "num_steps"] in JOB_SECONDS;
    /// Seconds of each stage of completed jobs.
    stage_duration_seconds: Histogram["model", "stage"] in STAGE_SECONDS;
    /// Seconds of one denoising step, averaged over its job.
    denoise_step_duration_seconds: Histogram["model", "resolution", "expert"] in STAGE_SECONDS;
    /// Frames of completed jobs.
    frames_generated_total: Counter["model", "resolution"];
    /// Frames over the seconds of denoising and decoding; 16 is real time.
    generation_frames_per_second: Histogram["model", "resolution", "num_steps"] in FRAMES_PER_SECOND;
    /// Seconds of video of completed jobs.
    video_seconds_generated_total: Counter["project", "model"];
    /// Device seconds charged.
    gpu_seconds_total: Counter["project", "model"];
    /// Wall seconds that a device spent under a job.
    gpu_busy_seconds_total: Counter["worker", "gpu"];

    /// Jobs of the project that are queued or in progress.
    project_active_jobs: Gauge["project"];
    /// Device seconds that the project may be charged; no series where that is unlimited.
    project_gpu_quota_seconds: Gauge["project", "window"];
    /// Device seconds that the project was charged.
    project_gpu_used_seconds: Gauge["project", "window"];

    /// Always 1; its labels describe the device.
    gpu_info: Gauge["worker", "gpu", "uuid", "name", "driver", "compute_capability"];
    /// Device memory in use by everyone, as the driver says.
    gpu_memory_used_bytes: Gauge["worker", "gpu"];
    /// Device memory there is.
    gpu_memory_capacity_bytes: Gauge["worker", "gpu"];
    /// Device memory that the driver holds for itself.
    gpu_memory_reserved_bytes: Gauge["worker", "gpu"];
    /// Device memory in use by the worker.
    gpu_process_memory_used_bytes: Gauge["worker", "gpu"];
    /// The most device memory that a job held at once.
    gpu_job_peak_memory_bytes: Histogram["model", "resolution"] in MEMORY_BYTES;
    /// Networks that came to a device or left it, and steps taken because memory was short.
    model_moves_total: Counter["worker", "part", "move"];
    /// Seconds of bringing a network to a device or letting it go.
    model_move_duration_seconds: Histogram["part", "move"] in STAGE_SECONDS;
    /// Share of the last second in which a kernel ran.
    gpu_utilization_ratio: Gauge["worker", "gpu"];
    /// Power drawn.
    gpu_power_watts: Gauge["worker", "gpu"];
    /// Temperature of the chip.
    gpu_temperature_celsius: Gauge["worker", "gpu"];
    /// Jobs that ran out of device memory.
    gpu_out_of_memory_total: Counter["worker", "model"];

    /// 1 for the state that the worker is in, 0 for the others.
    worker_state: Gauge["worker", "state"];
    /// Worker processes replaced.
    worker_restarts_total: Counter["worker", "reason"];
    /// 1 while the model is in the worker's memory.
    model_loaded: Gauge["worker", "model", "quant_linear"];
    /// Seconds of loading a model.
    model_load_duration_seconds: Histogram["model"] in JOB_SECONDS;

    /// Leases that ended because their worker fell silent.
    lease_expired_total: Counter[];
    /// Results refused because a newer attempt had begun.
    stale_complete_total: Counter[];

    /// Seconds of storage operations.
    storage_operation_duration_seconds: Histogram["operation", "outcome"] in REQUEST_SECONDS;
    /// Bytes of results stored.
    storage_uploaded_bytes_total: Counter["variant"];

    /// Attempts to tell a receiver, by what became of the delivery.
    webhook_deliveries_total: Counter["type", "outcome"];
    /// Seconds of one attempt to tell a receiver.
    webhook_delivery_duration_seconds: Histogram[] in REQUEST_SECONDS;
    /// Deliveries that are due now or later.
    webhook_pending: Gauge[];
    /// Outgoing requests refused by the address policy.
    outbound_blocked_total: Counter["purpose"];
}

/// Called before each scrape.
type Refresh = Box<dyn Fn() + Send + Sync>;

/// Values of labels that are known at the start; their series are shown from the first scrape on.
pub struct KnownLabels<'a> {
    pub models: &'a [&'a str],
    pub failure_codes: &'a [&'a str],
    pub stages: &'a [&'a str],
    pub variants: &'a [&'a str],
}

impl Metrics {
    /// All metrics at zero.
    pub fn new(known: &KnownLabels<'_>) -> Self {
        let registry = Registry::new();
        registry.register(Box::new(ProcessCollector::for_self())).expect("one process collector");
        let metrics = Self::declare(registry);
        metrics.show(known);
        metrics
    }

    /// The label of a project: its id, or `_other` beyond a bound.
    pub fn project<'a>(&self, project: &'a str) -> &'a str {
        self.projects.label(project)
    }

    /// The projects that have series of their own.
    pub fn projects(&self) -> Vec<String> {
        self.projects.known()
    }

    /// Calls `refresh` before each scrape from now on, for gauges that are read off something else.
    pub fn before_scrape(&self, refresh: impl Fn() + Send + Sync + 'static) {
        *self.refresh.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(refresh));
    }

    /// Everything in the text format, sorted by name.
    pub fn text(&self) -> String {
        let refresh = self.refresh.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(refresh) = refresh.as_ref() {
            refresh();
        }
        TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .expect("the text format has no bad input")
    }

    fn show(&self, known: &KnownLabels<'_>) {
        let (commit, rustc) = (env!("BUILD_COMMIT"), env!("BUILD_RUSTC"));
        self.build_info.set([env!("CARGO_PKG_VERSION"), commit, rustc], 1.0);
        self.http_requests_in_flight.set([], 0.0);
        self.sse_streams.set([], 0.0);
        for kind in ["key", "retry_guard"] {
            self.idempotent_replays_total.show([kind]);
        }
        self.lease_expired_total.show([]);
        self.stale_complete_total.show([]);
        self.webhook_pending.set([], 0.0);
        self.webhook_delivery_duration_seconds.show([]);
        for kind in ["video.in_progress", "video.completed", "video.failed", "endpoint.test"] {
            for outcome in ["delivered", "failed", "exhausted"] {
                self.webhook_deliveries_total.show([kind, outcome]);
            }
        }
        for purpose in ["image", "webhook"] {
            self.outbound_blocked_total.show([purpose]);
        }
        for variant in known.variants {
            self.content_served_bytes_total.show([variant]);
            self.storage_uploaded_bytes_total.show([variant]);
        }
        for operation in ["put", "get", "delete", "presign"] {
            for outcome in ["ok", "down", "slow", "full", "refused", "failed"] {
                self.storage_operation_duration_seconds.show([operation, outcome]);
            }
        }
        for model in known.models {
            self.job_attempts_total.show([model]);
            self.queue_depth.set([model], 0.0);
            self.queue_oldest_age_seconds.set([model], 0.0);
            self.job_queue_wait_seconds.show([model]);
            self.model_load_duration_seconds.show([model]);
            for code in known.failure_codes {
                self.job_failures_total.show([model, code]);
            }
            for stage in known.stages {
                self.stage_duration_seconds.show([model, stage]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics() -> Metrics {
        Metrics::new(&KnownLabels {
            models: &["wan-tiny"],
            failure_codes: &["worker_lost"],
            stages: &["denoising"],
            variants: &["video"],
        })
    }

    #[test]
    fn known_series_are_there_before_their_first_event() {
        let text = metrics().text();
        for line in [
            "wanserve_job_failures_total{code=\"worker_lost\",model=\"wan-tiny\"} 0",
            "wanserve_queue_depth{model=\"wan-tiny\"} 0",
            "wanserve_lease_expired_total 0",
            "# TYPE wanserve_stage_duration_seconds histogram",
            "# HELP wanserve_queue_depth Jobs waiting for a worker.",
            "process_resident_memory_bytes",
        ] {
            assert!(text.contains(line), "{line} is missing from:\n{text}");
        }
    }

    #[test]
    fn names_keep_to_the_conventions() {
        for name in Metrics::NAMES {
            let counter = name.ends_with("_total");
            let unit =
                ["_seconds", "_bytes", "_ratio", "_watts", "_celsius", "_info", "_total", "_per_second"];
            let plain = [
                "in_flight",
                "sse_streams",
                "active_jobs",
                "queue_depth",
                "jobs_running",
                "worker_state",
                "model_loaded",
                "webhook_pending",
            ];
            assert!(counter || unit.iter().chain(&plain).any(|end| name.ends_with(end)), "{name}");
        }
    }

    #[test]
    fn a_bad_amount_does_not_spoil_a_counter() {
        let metrics = metrics();
        metrics.gpu_seconds_total.add(["p", "m"], f64::NAN);
        metrics.gpu_seconds_total.add(["p", "m"], -1.0);
        metrics.gpu_seconds_total.add(["p", "m"], 1.5);
        assert_eq!(metrics.gpu_seconds_total.value(["p", "m"]), 1.5);
    }

    #[test]
    fn dashboards_and_alerts_name_only_metrics_that_exist() {
        let files = [
            include_str!("../../docker/grafana/dashboards/wanserve.json"),
            include_str!("../../docker/prometheus/alerts.yaml"),
        ];
        for text in files {
            for start in text.match_indices("wanserve_").map(|(start, _)| start) {
                let end = text[start..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                let used = &text[start..start + end.unwrap_or(text.len() - start)];
                let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| used.strip_suffix(end));
                let known = |name| Metrics::NAMES.contains(&name);
                assert!(known(used) || family.is_some_and(known), "{used}");
            }
        }
    }
}
