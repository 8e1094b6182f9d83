//! What the scheduler counts. Reads jobs, writes metrics, decides nothing.

use super::Scheduler;
use super::leases::Held;
use super::workers::{Worker, WorkerState};
use crate::domain::clock::Moment;
use crate::domain::job::{Job, JobState};
use crate::domain::lease::{Cost, Device, ModelLoad, WorkerHello};
use crate::domain::memory::Move;
use crate::domain::stage::Timings;
use crate::metrics::Metrics;

impl Scheduler {
    /// Brings the gauges of queue and workers up to date, for a scrape.
    pub fn gauge(&self) {
        let metrics = &self.inner.parts.metrics;
        let now = self.inner.parts.clock.now();
        metrics.queue_depth.clear();
        metrics.queue_oldest_age_seconds.clear();
        metrics.jobs_running.clear();
        metrics.worker_state.clear();
        metrics.model_loaded.clear();
        let of_devices = [
            &metrics.gpu_memory_used_bytes,
            &metrics.gpu_memory_capacity_bytes,
            &metrics.gpu_memory_reserved_bytes,
            &metrics.gpu_process_memory_used_bytes,
            &metrics.gpu_utilization_ratio,
            &metrics.gpu_power_watts,
            &metrics.gpu_temperature_celsius,
        ];
        of_devices.into_iter().for_each(|gauge| gauge.clear());
        metrics.gpu_info.clear();
        let backlog = self.backlog();
        let workers = self.workers();
        for model in workers.iter().flat_map(|worker| &worker.models) {
            metrics.queue_depth.set([model.hosted.id.as_str()], 0.0);
            metrics.queue_oldest_age_seconds.set([model.hosted.id.as_str()], 0.0);
        }
        for line in &backlog {
            let model = line.model.as_str();
            metrics.queue_depth.add([model], line.depth as f64);
            let same = backlog.iter().filter(|other| other.model == line.model);
            let age = same.map(|other| now.since(other.oldest).as_secs_f64()).fold(0.0, f64::max);
            metrics.queue_oldest_age_seconds.set([model], age);
        }
        for held in self.inner.state().leases.all() {
            let worker = held.job.status.holder.as_ref().map_or("", |holder| &holder.name);
            metrics.jobs_running.add([held.job.request.spec.model.as_str(), worker], 1.0);
        }
        for worker in workers {
            for state in WorkerState::ALL {
                let is = f64::from(u8::from(state == worker.state));
                metrics.worker_state.set([&worker.name, state.as_str()], is);
            }
            for model in &worker.models {
                let quantized = if model.hosted.quant_linear { "true" } else { "false" };
                let loaded = f64::from(u8::from(model.hosted.resident));
                metrics.model_loaded.set([&worker.name, model.hosted.id.as_str(), quantized], loaded);
            }
            for device in &worker.devices {
                let labels = [worker.name.as_str(), &device.index.to_string()];
                let stats = &device.stats;
                // A CPU, or a driver that tells nothing, has no numbers: zeros would be lies.
                if device.uuid.is_empty() {
                    continue;
                }
                let Device { uuid, name, driver, compute_capability, .. } = device;
                metrics.gpu_info.set([labels[0], labels[1], uuid, name, driver, compute_capability], 1.0);
                metrics.gpu_memory_used_bytes.set(labels, stats.memory_used_bytes as f64);
                metrics.gpu_memory_capacity_bytes.set(labels, stats.memory_total_bytes as f64);
                metrics.gpu_memory_reserved_bytes.set(labels, stats.memory_reserved_bytes as f64);
                metrics.gpu_process_memory_used_bytes.set(labels, stats.process_memory_used_bytes as f64);
                metrics.gpu_utilization_ratio.set(labels, stats.utilization_ratio);
                metrics.gpu_power_watts.set(labels, stats.power_watts);
                metrics.gpu_temperature_celsius.set(labels, stats.temperature_celsius);
            }
        }
    }
}

/// A job was handed to a worker; `first` says that none had it before.
pub(super) fn handed_out(metrics: &Metrics, job: &Job, first: bool) {
    let model = job.request.spec.model.as_str();
    metrics.job_attempts_total.increment([model]);
    if let Some(started) = job.status.started_at.filter(|_| first) {
        let waited = started.since(job.created_at).as_secs_f64();
        metrics.job_queue_wait_seconds.observe([model], waited);
    }
}

/// A worker is free again. One that is gone already held its first device.
pub(super) fn freed(metrics: &Metrics, held: &Held, worker: Option<&Worker>, now: Moment) {
    let Some(holder) = &held.job.status.holder else { return };
    let seconds = now.since(held.since).as_secs_f64();
    let indices: Vec<u32> = match worker {
        Some(worker) => worker.hello.devices.iter().map(|device| device.index).collect(),
        None => vec![0],
    };
    for index in indices {
        metrics.gpu_busy_seconds_total.add([&holder.name, &index.to_string()], seconds);
    }
}

/// A worker moved networks.
pub(super) fn moved(metrics: &Metrics, worker: &str, moves: &[Move]) {
    for one in moves {
        let (part, kind) = (one.part.as_str(), one.kind.as_str());
        metrics.model_moves_total.increment([worker, part, kind]);
        if one.kind.is_move() {
            metrics.model_move_duration_seconds.observe([part, kind], one.seconds);
        }
    }
}

/// A worker has joined: what may happen to it is shown before it does.
pub(super) fn joined(metrics: &Metrics, hello: &WorkerHello) {
    for model in &hello.models {
        metrics.gpu_out_of_memory_total.show([&hello.name, model.id.as_str()]);
    }
    for device in &hello.devices {
        metrics.gpu_busy_seconds_total.show([&hello.name, &device.index.to_string()]);
    }
}

/// A worker loaded models.
pub(super) fn loaded(metrics: &Metrics, loads: &[&ModelLoad]) {
    for load in loads {
        metrics.model_load_duration_seconds.observe([load.model.as_str()], load.seconds);
    }
}

/// A job ran out of memory.
pub(super) fn out_of_memory(metrics: &Metrics, job: &Job) {
    let worker = job.status.holder.as_ref().map_or("", |holder| &holder.name);
    metrics.gpu_out_of_memory_total.increment([worker, job.request.spec.model.as_str()]);
}

/// A job reached its end.
pub(crate) fn ended(metrics: &Metrics, job: &Job, cost: Option<Cost>) {
    let spec = &job.request.spec;
    let (model, resolution, steps) =
        (spec.model.as_str(), spec.resolution.as_str(), spec.steps.get().to_string());
    let project = job.project.to_string();
    let project = metrics.project(&project);
    let outcome = match (job.status.state, job.status.is_cancelled()) {
        (JobState::Completed, _) => "completed",
        (_, true) => "cancelled",
        (_, false) => "failed",
    };
    metrics.jobs_finished_total.increment([project, model, spec.operation.as_str(), outcome]);
    if let Some(error) = &job.status.error {
        metrics.job_failures_total.increment([model, error.code.as_str()]);
    }
    if let Some(usage) = &job.status.usage {
        metrics.gpu_seconds_total.add([project, model], usage.gpu_seconds);
    }
    let Some(timings) = &job.status.timings else { return };
    if let Some(total) = timings.total {
        metrics.job_duration_seconds.observe([model, resolution, &steps], total);
    }
    if job.status.state != JobState::Completed {
        return;
    }
    for (stage, seconds) in stages(timings) {
        metrics.stage_duration_seconds.observe([model, stage], seconds);
    }
    let frames = f64::from(spec.frames.get());
    metrics.frames_generated_total.add([model, resolution], frames);
    metrics.video_seconds_generated_total.add([project, model], spec.frames.duration_seconds());
    if let (Some(denoise), Some(decode)) = (timings.denoise, timings.decode) {
        let rate = frames / (denoise + decode).max(f64::MIN_POSITIVE);
        metrics.generation_frames_per_second.observe([model, resolution, &steps], rate);
        let expert = if spec.boundary.is_some() { "high" } else { "single" };
        let step = denoise / f64::from(spec.steps.get());
        metrics.denoise_step_duration_seconds.observe([model, resolution, expert], step);
    }
    if let Some(peak) = cost.map(|cost| cost.peak_memory_bytes).filter(|peak| *peak > 0) {
        metrics.gpu_job_peak_memory_bytes.observe([model, resolution], peak as f64);
    }
}

/// The stages that ran, by the names of their labels.
fn stages(timings: &Timings) -> impl Iterator<Item = (&'static str, f64)> {
    let all = [
        ("preparing", timings.prepare),
        ("loading_model", timings.model_load),
        ("encoding_text", timings.text_encode),
        ("encoding_image", timings.image_encode),
        ("denoising", timings.denoise),
        ("decoding", timings.decode),
        ("muxing", timings.mux),
        ("uploading", timings.upload),
    ];
    all.into_iter().filter_map(|(stage, seconds)| Some((stage, seconds?)))
}
