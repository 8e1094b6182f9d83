//! float → int8 in blocks of 128×128: `scale = max(1e-8, max|x|)/128`, `q = x/scale` to nearest even, saturated to
//! `[−128, 127]`. Elements outside the matrix count as 0. (128, not 127: the largest value saturates, its negative does
//! not.)

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "cuda")]
#[cfg(test)]
mod test;

use crate::{Device, Result, Tensor};

const NAME: &str = "quantize_int8";

/// Rows and columns of a block.
pub const BLOCK: usize = 128;

/// `x` `[rows, columns]`; gives int8 `[rows, columns]` and float32 scales `[⌈rows/128⌉, ⌈columns/128⌉]`.
pub fn quantize_int8(x: &Tensor) -> Result<(Tensor, Tensor)> {
    let [_, _] = x.axes(NAME, "x")?;
    match x.device() {
        Device::Cpu => cpu::quantize_int8(x),
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => cuda::quantize_int8(&device, x),
    }
}
