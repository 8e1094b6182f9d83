//! Two frames from the two halves of the channels: `out[2t] = x[t][..C]`, `out[2t + 1] = x[t][C..]`.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "cuda")]
#[cfg(test)]
mod test;

use crate::{Device, Error, Result, Tensor};

const NAME: &str = "interleave_frames";

/// `x` `[T, H, W, 2·C]`; gives `[2·T, H, W, C]`.
pub fn interleave_frames(x: &Tensor) -> Result<Tensor> {
    let [_, _, _, channels] = x.axes(NAME, "x")?;
    if channels % 2 != 0 {
        return Err(Error::argument(NAME, format!("{channels} channels have no halves")));
    }
    match x.device() {
        Device::Cpu => cpu::interleave_frames(x),
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => cuda::interleave_frames(&device, x),
    }
}
