//! The last layer of the transformer in float32: `out = W · (norm(x)·(1 + scale) + shift) + b`, where `norm` is layer
//! norm without weights.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "cuda")]
#[cfg(test)]
mod test;

use crate::linear::Linear;
use crate::{Device, Error, Result, Tensor};

const NAME: &str = "head";

/// `x` `[rows, d]`, `modulation` `[2, d]` float32 (shift, scale), `projection` of `d` inputs; gives `[rows, outputs]`
/// in float32 on every device.
pub fn head(x: &Tensor, modulation: &Tensor, projection: &Linear, epsilon: f32) -> Result<Tensor> {
    let [_, width] = x.axes(NAME, "x")?;
    modulation.check(NAME, "modulation", &[2, width])?;
    if projection.inputs() != width {
        return Err(Error::argument(NAME, format!("a projection of {} inputs", projection.inputs())));
    }
    match x.device() {
        Device::Cpu => cpu::head(x, modulation, projection, epsilon),
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => cuda::head(&device, x, modulation, projection, epsilon),
    }
}
