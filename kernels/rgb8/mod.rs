//! Decoded frames to bytes: `trunc(255·(1 + clamp(x, −1, 1))/2 + 0.5)`.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "cuda")]
#[cfg(test)]
mod test;

use crate::{Device, Result, Tensor};

const NAME: &str = "rgb8";

/// `x` `[T, H, W, 3]`; gives the bytes of the frames one after another on the host. What is not a number becomes 0.
pub fn rgb8(x: &Tensor) -> Result<Vec<u8>> {
    let [_, _, _, _] = x.axes(NAME, "x")?;
    match x.device() {
        Device::Cpu => cpu::rgb8(x),
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => cuda::rgb8(&device, x),
    }
}
