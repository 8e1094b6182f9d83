//! What the networks know about the time step, in float32 on every device:
//! `s = [cos(t·ω), sin(t·ω)]`, `ω_j = 10000^(−2j/n)`; `e = L2(silu(L1(s)))`; `rows = L3(silu(e))`.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "cuda")]
#[cfg(test)]
mod test;

use crate::linear::Linear;
use crate::{Device, Error, Result, Tensor};

const NAME: &str = "time_embedding";

/// The three layers; on every device their weights may be in any floating format, products are float32.
#[derive(Debug, Clone)]
pub struct TimeEmbedding {
    /// Sinusoid to `d`.
    pub first: Linear,
    /// `d` to `d`.
    pub second: Linear,
    /// `d` to `rows · d`.
    pub projection: Linear,
}

/// The embedding of a time step.
#[derive(Debug, Clone)]
pub struct Time {
    /// `[d]` float32, for the head.
    pub embedding: Tensor,
    /// `[rows, d]` float32, for the blocks.
    pub rows: Tensor,
}

/// For `timestep` as the network sees it (0 to 1000).
pub fn time_embedding(timestep: f32, layers: &TimeEmbedding) -> Result<Time> {
    let width = layers.second.outputs();
    let fits = layers.first.outputs() == width
        && layers.second.inputs() == width
        && layers.projection.inputs() == width
        && layers.projection.outputs().is_multiple_of(width);
    if !fits {
        return Err(Error::argument(NAME, "layers that do not fit one another"));
    }
    match layers.first.device() {
        Device::Cpu => cpu::time_embedding(timestep, layers),
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => cuda::time_embedding(&device, timestep, layers),
    }
}

/// `[cos(t·ω), sin(t·ω)]` of `width` numbers, computed in float64.
pub(crate) fn sinusoid(timestep: f32, width: usize) -> Vec<f32> {
    let half = width / 2;
    let angle = |j: usize| f64::from(timestep) * 10_000f64.powf(-(j as f64) / half as f64);
    let cosines = (0..half).map(|j| angle(j).cos() as f32);
    cosines.chain((0..half).map(|j| angle(j).sin() as f32)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cosines_come_first() {
        assert_eq!(sinusoid(0.0, 4), [1.0, 1.0, 0.0, 0.0]);
        let values = sinusoid(100.0, 4);
        assert!((values[0] - 100f32.cos()).abs() < 1e-5 && (values[3] - 1f32.sin()).abs() < 1e-6);
    }
}
