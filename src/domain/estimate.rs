//! What a job of some shape costs: a moving average of what was measured.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::model::ModelId;
use super::size::Resolution;
use super::video::VideoSpec;

/// Weight of the newest measurement; ten jobs forget most of what was before them.
const NEWEST_WEIGHT: f64 = 0.2;

/// Run times kept for the median: enough to outvote a few odd ones, few enough to follow a change.
const RECENT: usize = 15;

/// What jobs must share for one to predict the other.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Shape {
    pub model: ModelId,
    pub resolution: Resolution,
    pub steps: u32,
    pub frames: u32,
}

/// What one job took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measurement {
    /// From hand-out to completion, without loading the model.
    pub run_seconds: f64,
    /// Charged seconds.
    pub gpu_seconds: f64,
    /// Whether the linear layers were quantized.
    pub quant_linear: bool,
    /// The most device memory in use; 0 if it was not measured.
    pub peak_memory_bytes: u64,
}

/// Seconds that a job of a shape takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    pub shape: Shape,
    /// From hand-out to completion, without loading the model.
    pub run_seconds: f64,
    /// Charged seconds.
    pub gpu_seconds: f64,
    /// Jobs measured.
    pub samples: u32,
    /// Run seconds of the last jobs, the newest last.
    #[serde(default)]
    pub recent: Vec<f64>,
    /// The most device memory that was needed, by whether the linear layers were quantized.
    #[serde(default)]
    pub peak_memory_bytes: BTreeMap<bool, u64>,
}

impl Shape {
    pub fn of(spec: &VideoSpec) -> Self {
        Self {
            model: spec.model.clone(),
            resolution: spec.resolution,
            steps: spec.steps.get(),
            frames: spec.frames.get(),
        }
    }

    /// Work relative to other shapes of the same model: steps and decoding over latent volume.
    pub fn relative_work(&self) -> f64 {
        let pixels = match self.resolution {
            Resolution::P128 => 224.0 * 128.0,
            Resolution::P480 => 832.0 * 480.0,
            Resolution::P720 => 1280.0 * 720.0,
        };
        f64::from(self.steps + 1) * f64::from(self.frames) * pixels
    }
}

impl Estimate {
    /// From the first measurement of a shape.
    pub fn first(shape: Shape, measured: Measurement) -> Self {
        let Measurement { run_seconds, gpu_seconds, .. } = measured;
        let (recent, peak_memory_bytes) = (Vec::new(), BTreeMap::new());
        let mut estimate = Self { shape, run_seconds, gpu_seconds, samples: 1, recent, peak_memory_bytes };
        estimate.note(measured);
        estimate
    }

    /// Takes in another measurement.
    pub fn learn(&mut self, measured: Measurement) {
        self.run_seconds += NEWEST_WEIGHT * (measured.run_seconds - self.run_seconds);
        self.gpu_seconds += NEWEST_WEIGHT * (measured.gpu_seconds - self.gpu_seconds);
        self.samples = self.samples.saturating_add(1);
        self.note(measured);
    }

    /// The median of the last run times: one slow job does not move it.
    pub fn typical_seconds(&self) -> f64 {
        let mut sorted = self.recent.clone();
        sorted.sort_by(f64::total_cmp);
        match (sorted.get(sorted.len().saturating_sub(1) / 2), sorted.get(sorted.len() / 2)) {
            (Some(low), Some(high)) => f64::midpoint(*low, *high),
            (_, _) => self.run_seconds,
        }
    }

    fn note(&mut self, measured: Measurement) {
        self.recent.push(measured.run_seconds);
        let surplus = self.recent.len().saturating_sub(RECENT);
        self.recent.drain(..surplus);
        if measured.peak_memory_bytes > 0 {
            let peak = self.peak_memory_bytes.entry(measured.quant_linear).or_default();
            *peak = measured.peak_memory_bytes.max(*peak);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_typical_time_is_the_median_of_the_last_ones() {
        let shape = Shape { model: ModelId::new("m"), resolution: Resolution::P128, steps: 1, frames: 17 };
        let took = |run_seconds, peak_memory_bytes| Measurement {
            run_seconds,
            gpu_seconds: 1.0,
            quant_linear: false,
            peak_memory_bytes,
        };
        let mut estimate = Estimate::first(shape, took(2.0, 0));
        assert_eq!((estimate.typical_seconds(), estimate.peak_memory_bytes.len()), (2.0, 0));
        estimate.learn(took(90.0, 7));
        estimate.learn(took(3.0, 5));
        assert_eq!((estimate.typical_seconds(), estimate.peak_memory_bytes[&false]), (3.0, 7));
        (0..RECENT).for_each(|_| estimate.learn(took(1.0, 0)));
        assert_eq!((estimate.typical_seconds(), estimate.recent.len()), (1.0, RECENT));
        estimate.recent.clear();
        assert_eq!(estimate.typical_seconds(), estimate.run_seconds, "kept by an older server");
    }
}
