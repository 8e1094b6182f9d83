//! float → 8-bit float of 4 exponent and 3 mantissa bits (e4m3), a factor a row: `scale = max(1e-12, max|row|)/448`,
//! `q = x·(448/max)` to nearest even, saturated at ±448.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "cuda")]
#[cfg(test)]
mod test;

#[cfg(feature = "cuda")]
pub(crate) use cuda::quantize_gelu_fp8;

use crate::{Device, Result, Tensor};

const NAME: &str = "quantize_fp8";

/// `x` `[rows, columns]`; gives e4m3 `[rows, columns]`, which on the CPU are floats that e4m3 holds exactly, and
/// float32 scales `[rows]`.
pub fn quantize_fp8(x: &Tensor) -> Result<(Tensor, Tensor)> {
    let [_, _] = x.axes(NAME, "x")?;
    match x.device() {
        Device::Cpu => cpu::quantize_fp8(x),
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => cuda::quantize_fp8(&device, x),
    }
}
