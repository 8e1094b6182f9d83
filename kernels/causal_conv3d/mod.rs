//! Convolution over time, height and width that sees no future frame, with what stands around it fused in:
//! `out = conv(silu(norm(x))) + b + residual`, `norm(x) = x / max(‖x‖₂, 1e-12) · √C · gamma` over the channels; or
//! `out = silu(norm(conv(x) + b + residual))`, for the convolution that follows.
//! Height and width are padded with zeros to keep their size. In time, the last frames of the chunk before (or zeros at
//! the start of a video) stand in front; a zero frame stays zero under norm and SiLU.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "cuda")]
#[cfg(test)]
mod test;

use crate::{Device, Error, Result, Tensor};

const NAME: &str = "causal_conv3d";

/// A filter and its bias, repacked for the device once.
#[derive(Debug, Clone)]
pub struct Conv3d {
    packed: Packed,
    kernel: [usize; 3],
    inputs: usize,
    outputs: usize,
}

#[derive(Debug, Clone)]
enum Packed {
    Cpu(crate::cpu::PackedFilter),
    #[cfg(feature = "cuda")]
    Cuda(cuda::Filter),
}

/// What is fused around a convolution.
#[derive(Debug, Clone, Copy)]
pub struct Around<'a> {
    /// Frames in front of `x`, `[n, H, W, inputs]` with `n ≤ kernel − stride` in time, before norm and SiLU; zeros stand
    /// for what is missing.
    pub history: Option<&'a Tensor>,
    /// `gamma` `[inputs]` of the norm before SiLU; without it there is neither.
    pub norm: Option<&'a Tensor>,
    /// Added to the result, of its shape.
    pub residual: Option<&'a Tensor>,
    /// `gamma` `[outputs]` of a norm over the result before SiLU; without it there is neither.
    pub then: Option<&'a Tensor>,
    /// 1, or 2 to halve time.
    pub time_stride: usize,
}

impl Around<'_> {
    /// Nothing at all.
    pub const NOTHING: Self = Self { history: None, norm: None, residual: None, then: None, time_stride: 1 };
}

impl Conv3d {
    /// From `weight` `[outputs, inputs, kt, kh, kw]` (height and width odd) and `bias` `[outputs]`, row-major.
    pub fn new(weight: &[f32], shape: [usize; 5], bias: &[f32], device: &Device) -> Result<Self> {
        let [outputs, inputs, kt, kh, kw] = shape;
        let counts_fit = weight.len() == shape.iter().product::<usize>() && bias.len() == outputs;
        if !counts_fit || weight.is_empty() || kh % 2 == 0 || kw % 2 == 0 {
            return Err(Error::argument(
                NAME,
                format!("a filter of {shape:?} from {} numbers", weight.len()),
            ));
        }
        let packed = match device {
            Device::Cpu => Packed::Cpu(cpu::pack(weight, shape, bias)),
            #[cfg(feature = "cuda")]
            Device::Cuda(device) => Packed::Cuda(cuda::pack(device, weight, shape, bias)?),
        };
        Ok(Self { packed, kernel: [kt, kh, kw], inputs, outputs })
    }

    /// Frames that stand in front of a chunk.
    pub fn history(&self, time_stride: usize) -> usize {
        self.kernel[0] - time_stride
    }
}

/// `x` `[T, H, W, inputs]`; gives `[(history + T − kernel)/stride + 1, H, W, outputs]`, `history = kernel − stride`.
pub fn causal_conv3d(x: &Tensor, filter: &Conv3d, around: &Around) -> Result<Tensor> {
    let [frames, height, width, channels] = x.axes(NAME, "x")?;
    x.check(NAME, "x", &[frames, height, width, filter.inputs])?;
    let stride = around.time_stride;
    if stride == 0 || stride > filter.kernel[0] || frames < stride {
        return Err(Error::argument(NAME, format!("{frames} frames with a time stride of {stride}")));
    }
    if let Some(history) = around.history {
        let n = history.dim(0);
        history.check(NAME, "history", &[n.min(filter.history(stride)), height, width, channels])?;
    }
    if let Some(gamma) = around.norm {
        gamma.check(NAME, "norm", &[channels])?;
    }
    if let Some(gamma) = around.then {
        gamma.check(NAME, "then", &[filter.outputs])?;
    }
    if let Some(residual) = around.residual {
        residual.check(NAME, "residual", &[frames / stride, height, width, filter.outputs])?;
    }
    match &filter.packed {
        Packed::Cpu(packed) => cpu::causal_conv3d(x, packed, around),
        #[cfg(feature = "cuda")]
        Packed::Cuda(packed) => cuda::causal_conv3d(x, packed, around),
    }
}
