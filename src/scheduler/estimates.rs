//! What a job will take, from what such jobs took. Knows measurements only; never the clock.

use std::collections::BTreeMap;

use crate::domain::estimate::{Estimate, Measurement, Shape};

/// Charged before anything was measured; told to nobody.
const UNKNOWN_SECONDS: f64 = 5.0;

/// Every measured shape.
#[derive(Debug, Default)]
pub(super) struct Estimates {
    by_shape: BTreeMap<Shape, Estimate>,
}

impl Estimates {
    pub(super) fn new(known: Vec<Estimate>) -> Self {
        Self { by_shape: known.into_iter().map(|estimate| (estimate.shape.clone(), estimate)).collect() }
    }

    /// Seconds from hand-out to completion: measured for the shape, or else scaled from the most measured shape of the model.
    pub(super) fn run_seconds(&self, shape: &Shape) -> f64 {
        self.measured_run_seconds(shape).unwrap_or(UNKNOWN_SECONDS)
    }

    /// The same; `None` while no job of the model was measured.
    pub(super) fn measured_run_seconds(&self, shape: &Shape) -> Option<f64> {
        self.predict(shape, |estimate| estimate.run_seconds)
    }

    /// Charged device seconds, predicted likewise.
    pub(super) fn gpu_seconds(&self, shape: &Shape) -> f64 {
        self.predict(shape, |estimate| estimate.gpu_seconds).unwrap_or(UNKNOWN_SECONDS)
    }

    /// Takes in a measurement; answers the estimate to be kept.
    pub(super) fn learn(&mut self, shape: Shape, measured: Measurement) -> Estimate {
        let estimate = self
            .by_shape
            .entry(shape.clone())
            .and_modify(|estimate| estimate.learn(measured))
            .or_insert_with(|| Estimate::first(shape, measured));
        estimate.clone()
    }

    /// Everything measured.
    pub(super) fn all(&self) -> Vec<Estimate> {
        self.by_shape.values().cloned().collect()
    }

    fn predict(&self, shape: &Shape, of: impl Fn(&Estimate) -> f64) -> Option<f64> {
        if let Some(estimate) = self.by_shape.get(shape) {
            return Some(of(estimate));
        }
        let kin = self.by_shape.values().filter(|estimate| estimate.shape.model == shape.model);
        let closest = kin.max_by_key(|estimate| estimate.samples)?;
        Some(of(closest) * shape.relative_work() / closest.shape.relative_work())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::model::ModelId;
    use crate::domain::size::Resolution;

    #[test]
    fn an_unknown_shape_is_scaled_from_a_known_one() {
        let shape =
            |steps, frames| Shape { model: ModelId::new("m"), resolution: Resolution::P128, steps, frames };
        let took = |run_seconds| Measurement {
            run_seconds,
            gpu_seconds: 1.0,
            quant_linear: false,
            peak_memory_bytes: 0,
        };
        let mut estimates = Estimates::default();
        assert_eq!(estimates.run_seconds(&shape(4, 33)), UNKNOWN_SECONDS);
        assert_eq!(estimates.measured_run_seconds(&shape(4, 33)), None, "an assumption is no measurement");
        estimates.learn(shape(4, 33), took(2.0));
        assert_eq!(estimates.run_seconds(&shape(4, 33)), 2.0);
        assert_eq!(estimates.gpu_seconds(&shape(1, 33)), 0.4);
        let kept = estimates.learn(shape(4, 33), took(3.0));
        assert!((kept.run_seconds - 2.2).abs() < 1e-9);
        assert_eq!(estimates.all().len(), 1);
    }
}
