//! What `wanserve bench` tells: a table for people, JSON for programs.

use anyhow::Result;
use kernels::Device;
use serde::Serialize;

use crate::domain::linear::LinearCompute;
use crate::domain::memory::Move;
use crate::domain::size::Size;
use crate::domain::stage::Timings;
use crate::domain::video::{AttentionType, VideoSpec};
use crate::engine::Measurement;
use crate::engine::memory::CONTEXT_BYTES;
use crate::engine::weights::Model;

/// Kernels that a table names; the rest is one line.
const KERNELS_SHOWN: usize = 24;

/// Everything of one call.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Of the program.
    version: &'static str,
    model: String,
    device: String,
    device_name: String,
    /// Reading every weight onto the device.
    load_seconds: f64,
    /// What the pool held after that; `None` on the CPU.
    loaded_bytes: Option<u64>,
    warm_ups: usize,
    pub(super) rows: Vec<Row>,
    /// Networks that came and left.
    pub(super) moves: Vec<Move>,
}

/// One stage of one kind of clip.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    stage: &'static str,
    size: String,
    frames: u32,
    steps: u32,
    attention: &'static str,
    topk: Option<f64>,
    linear_format: &'static str,
    median_ms: f64,
    min_ms: f64,
    max_ms: f64,
    milliseconds: Vec<f64>,
    /// The most that tensors held, and that was taken from the device for them.
    peak_bytes: Option<u64>,
    reserved_peak_bytes: Option<u64>,
    /// What the process was foreseen to take of the device, its context included, and what the driver said afterwards.
    predicted_bytes: Option<u64>,
    pub(super) process_bytes: Option<u64>,
    /// Seconds of each part of a clip, one a repeat.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parts: Vec<Timings>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    kernels: Vec<Kernel>,
}

#[derive(Debug, Serialize)]
struct Kernel {
    name: String,
    calls: usize,
    milliseconds: f64,
}

impl Report {
    pub(super) fn new(model: &Model, device: &Device, load_seconds: f64, warm_ups: usize) -> Result<Self> {
        Ok(Self {
            version: env!("CARGO_PKG_VERSION"),
            model: model.id().to_string(),
            device: device.to_string(),
            device_name: device.model_name()?,
            load_seconds,
            loaded_bytes: device.pool()?.map(|pool| pool.used),
            warm_ups,
            rows: Vec::new(),
            moves: Vec::new(),
        })
    }

    /// What the table is of, and its head.
    pub(super) fn head(&self) -> String {
        let Self { model, device_name, device, load_seconds, warm_ups, .. } = self;
        let loaded = self.loaded_bytes.map_or_else(String::new, |bytes| format!(", {:.2} GiB", gib(bytes)));
        format!(
            "{model} on {device_name} ({device}); loaded in {load_seconds:.1} s{loaded}; {warm_ups} warm-ups\n\n\
             | stage | clip | attention | linears | runs | median ms | min | max | GiB held | taken | foreseen | process |\n\
             |---|---|---|---|---|---|---|---|---|---|---|---|"
        )
    }

    pub(super) fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}

impl Row {
    /// `parts` are those of a whole clip's repeats.
    pub(super) fn new(
        stage: &'static str,
        linear: LinearCompute,
        spec: &VideoSpec,
        measured: Measurement,
        parts: Vec<Timings>,
    ) -> Self {
        let Measurement { milliseconds, predicted, pool, kernels } = measured;
        let mut sorted = milliseconds.clone();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
        let sparse = spec.attention != AttentionType::Original;
        Self {
            stage,
            size: spec.size.to_string(),
            frames: spec.frames.get(),
            steps: spec.steps.get(),
            attention: spec.attention.as_str(),
            topk: spec.sla_topk.filter(|_| sparse),
            linear_format: linear.as_str(),
            median_ms: (at((sorted.len() - 1) / 2) + at(sorted.len() / 2)) / 2.0,
            min_ms: at(0),
            max_ms: at(sorted.len() - 1),
            milliseconds,
            peak_bytes: pool.map(|pool| pool.used_peak),
            reserved_peak_bytes: pool.map(|pool| pool.reserved_peak),
            predicted_bytes: predicted.map(|bytes| bytes + CONTEXT_BYTES),
            process_bytes: None,
            parts,
            kernels: kernels
                .into_iter()
                .map(|kernel| Kernel {
                    name: kernel.name,
                    calls: kernel.calls,
                    milliseconds: kernel.milliseconds,
                })
                .collect(),
        }
    }

    pub(super) fn is_of(&self, size: Size) -> bool {
        self.size == size.to_string()
    }

    /// A row of the table.
    pub(super) fn line(&self) -> String {
        let Self { stage, size, frames, steps, attention, median_ms, min_ms, max_ms, linear_format, .. } =
            self;
        let memory = [self.peak_bytes, self.reserved_peak_bytes, self.predicted_bytes, self.process_bytes];
        let memory =
            memory.map(|bytes| bytes.map_or_else(|| "–".to_owned(), |bytes| format!("{:.2}", gib(bytes))));
        let memory = memory.join(" | ");
        let parts = self.parts.last().map_or_else(String::new, |parts| format!(" {}", parts_line(parts)));
        format!(
            "| {stage} | {size} {frames} frames {steps} steps | {attention} | {linear_format} | {} | {median_ms:.1} | \
             {min_ms:.1} | {max_ms:.1} | {memory} |{parts}",
            self.milliseconds.len()
        )
    }

    /// The kernels of one run, if they were watched.
    pub(super) fn kernel_lines(&self) -> impl Iterator<Item = String> {
        let line = |kernel: &Kernel| {
            format!("    {:>9.3} ms {:>5} × {}", kernel.milliseconds, kernel.calls, kernel.name)
        };
        let (shown, rest) = self.kernels.split_at(self.kernels.len().min(KERNELS_SHOWN));
        let sum = |kernels: &[Kernel]| kernels.iter().map(|kernel| kernel.milliseconds).sum::<f64>();
        let others =
            (!rest.is_empty()).then(|| format!("    {:>9.3} ms in {} others", sum(rest), rest.len()));
        let all = (!shown.is_empty()).then(|| format!("    {:>9.3} ms in all", sum(&self.kernels)));
        shown.iter().map(line).chain(others).chain(all).collect::<Vec<_>>().into_iter()
    }
}

/// Where the last clip's time went.
fn parts_line(parts: &Timings) -> String {
    let all = [
        ("text", parts.text_encode),
        ("image", parts.image_encode),
        ("sampling", parts.denoise),
        ("decode", parts.decode),
        ("rest of mp4", parts.mux),
    ];
    let some = all.into_iter().filter_map(|(name, seconds)| Some((name, seconds? * 1e3)));
    some.map(|(name, ms)| format!("{name} {ms:.0} ms")).collect::<Vec<_>>().join(", ")
}

pub(super) fn gib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}
