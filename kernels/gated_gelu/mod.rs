//! `out = up · gelu(gate)` with `gelu(x) = 0.5·x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))`.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "cuda")]
#[cfg(test)]
mod test;

use crate::{Device, Result, Tensor};

const NAME: &str = "gated_gelu";

/// Both `[rows, f]`; gives `[rows, f]`.
pub fn gated_gelu(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    up.check(NAME, "up", gate.shape())?;
    match gate.device() {
        Device::Cpu => cpu::gated_gelu(gate, up),
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => cuda::gated_gelu(&device, gate, up),
    }
}
