//! `out = x / √(mean(x²) + ε) · weight` over the last axis.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "cuda")]
#[cfg(test)]
mod test;

use crate::{Device, Result, Tensor};

const NAME: &str = "rms_norm";

/// `x` `[rows, d]`, `weight` `[d]`; gives `[rows, d]`.
pub fn rms_norm(x: &Tensor, weight: &Tensor, epsilon: f32) -> Result<Tensor> {
    let [_, width] = x.axes(NAME, "x")?;
    weight.check(NAME, "weight", &[width])?;
    match x.device() {
        Device::Cpu => cpu::rms_norm(x, weight, epsilon),
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => cuda::rms_norm(&device, x, weight, epsilon),
    }
}
