//! The autoencoder's norm: `out = x / max(‖x‖₂, 1e-12) · √C · gamma` over the channels of each position.

mod cpu;
#[cfg(feature = "cuda")]
pub(crate) mod cuda;
#[cfg(feature = "cuda")]
#[cfg(test)]
mod test;

use crate::{Device, Result, Tensor};

const NAME: &str = "channel_norm";

/// `x` `[positions, C]`, `gamma` `[C]`; gives `[positions, C]`.
pub fn channel_norm(x: &Tensor, gamma: &Tensor) -> Result<Tensor> {
    let [_, channels] = x.axes(NAME, "x")?;
    gamma.check(NAME, "gamma", &[channels])?;
    match x.device() {
        Device::Cpu => cpu::channel_norm(x, gamma),
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => cuda::channel_norm(&device, x, gamma),
    }
}
