//! Single-head attention among the positions of each frame: `out = softmax(q·kᵀ / √C) · v`.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "cuda")]
#[cfg(test)]
mod test;

use crate::{Device, Error, Result, Tensor};

const NAME: &str = "frame_attention";

/// `qkv` `[frames, positions, 3·C]` (query, key, value channels); gives `[frames, positions, C]`.
pub fn frame_attention(qkv: &Tensor) -> Result<Tensor> {
    let [_, _, channels] = qkv.axes(NAME, "qkv")?;
    if channels % 3 != 0 {
        return Err(Error::argument(NAME, format!("{channels} channels are no thirds")));
    }
    match qkv.device() {
        Device::Cpu => cpu::frame_attention(qkv),
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => cuda::frame_attention(&device, qkv),
    }
}
