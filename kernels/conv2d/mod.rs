//! The 3×3 convolutions that change the size of frames.
//! Up: every pixel becomes 2×2, then zero padding of 1 and the filter. Down: zero padding of 1 right and bottom, then the
//! filter at every second row and column.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "cuda")]
#[cfg(test)]
mod test;

use crate::{Device, Error, Result, Tensor};

const NAME: &str = "conv2d";

/// Which way the size changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resample {
    Up,
    Down,
}

/// A 3×3 filter and its bias, repacked for the device and the direction once.
#[derive(Debug, Clone)]
pub struct Conv2d {
    packed: Packed,
    inputs: usize,
    resample: Resample,
}

#[derive(Debug, Clone)]
enum Packed {
    Cpu(cpu::Filters),
    #[cfg(feature = "cuda")]
    Cuda(cuda::Filter),
}

impl Conv2d {
    /// From `weight` `[outputs, inputs, 3, 3]` and `bias` `[outputs]`, row-major.
    pub fn new(
        weight: &[f32],
        shape: [usize; 4],
        bias: &[f32],
        resample: Resample,
        device: &Device,
    ) -> Result<Self> {
        let [outputs, inputs, kh, kw] = shape;
        let counts_fit = weight.len() == shape.iter().product::<usize>() && bias.len() == outputs;
        if !counts_fit || weight.is_empty() || (kh, kw) != (3, 3) {
            return Err(Error::argument(
                NAME,
                format!("a filter of {shape:?} from {} numbers", weight.len()),
            ));
        }
        let packed = match device {
            Device::Cpu => Packed::Cpu(cpu::pack(weight, inputs, bias, resample)),
            #[cfg(feature = "cuda")]
            Device::Cuda(device) => {
                Packed::Cuda(cuda::pack(device, weight, [outputs, inputs], bias, resample)?)
            }
        };
        Ok(Self { packed, inputs, resample })
    }
}

/// `x` `[T, H, W, inputs]`; gives `[T, 2·H, 2·W, outputs]` or `[T, H/2, W/2, outputs]`, halves rounded down; down
/// needs two pixels a side.
pub fn conv2d(x: &Tensor, filter: &Conv2d) -> Result<Tensor> {
    let [frames, height, width, _] = x.axes(NAME, "x")?;
    x.check(NAME, "x", &[frames, height, width, filter.inputs])?;
    if filter.resample == Resample::Down && (height < 2 || width < 2) {
        return Err(Error::argument(NAME, format!("{height}x{width} has no half")));
    }
    match &filter.packed {
        Packed::Cpu(packed) => cpu::conv2d(x, packed),
        #[cfg(feature = "cuda")]
        Packed::Cuda(packed) => cuda::conv2d(x, packed),
    }
}
