//! What a job of some shape costs: a moving average of what was measured.

use serde::{Deserialize, Serialize};

use super::model::ModelId;
use super::size::Resolution;
use super::video::VideoSpec;

/// Weight of the newest measurement; ten jobs forget most of what was before them.
const NEWEST_WEIGHT: f64 = 0.2;

/// What jobs must share for one to predict the other.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Shape {
    pub model: ModelId,
    pub resolution: Resolution,
    pub steps: u32,
    pub frames: u32,
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
    pub fn first(shape: Shape, run_seconds: f64, gpu_seconds: f64) -> Self {
        Self { shape, run_seconds, gpu_seconds, samples: 1 }
    }

    /// Takes in another measurement.
    pub fn learn(&mut self, run_seconds: f64, gpu_seconds: f64) {
        self.run_seconds += NEWEST_WEIGHT * (run_seconds - self.run_seconds);
        self.gpu_seconds += NEWEST_WEIGHT * (gpu_seconds - self.gpu_seconds);
        self.samples = self.samples.saturating_add(1);
    }
}
