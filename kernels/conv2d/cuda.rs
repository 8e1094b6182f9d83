//! The implicit product of `causal_conv3d` with one tap in time; magnification and stride are index arithmetic.

use super::{NAME, Resample};
use crate::cuda::{Argument, ConvolutionTile, Device, PackedFilter, empty, pointer};
use crate::{DType, Result, Tensor};

/// A filter on the device.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    device: Device,
    packed: PackedFilter,
    outputs: usize,
    resample: Resample,
}

pub(super) fn pack(
    device: &Device,
    weight: &[f32],
    [outputs, inputs]: [usize; 2],
    bias: &[f32],
    resample: Resample,
) -> Result<Filter> {
    let value = |output, tap, input| weight[(output * inputs + input) * 9 + tap];
    let packed = PackedFilter::new(device, [outputs, inputs, 9], bias, value)?;
    Ok(Filter { device: device.clone(), packed, outputs, resample })
}

pub(super) fn conv2d(x: &Tensor, filter: &Filter) -> Result<Tensor> {
    let [frames, height, width, _] = x.axes(NAME, "x")?;
    let (size, stride, padding, magnify) = match filter.resample {
        Resample::Up => ([2 * height, 2 * width], 1, 1, 2),
        // The zeros stand right and below, where the taps reach past the edge anyway.
        Resample::Down => ([height / 2, width / 2], 2, 0, 1),
    };
    let x = filter.packed.widen(NAME, x)?;
    let out = empty(&filter.device, &[frames, size[0], size[1], filter.outputs], DType::BF16)?;
    let mut arguments = vec![
        pointer(NAME, &x, DType::BF16)?,
        pointer(NAME, &filter.packed.weight, DType::BF16)?,
        pointer(NAME, &filter.packed.bias, DType::F32)?,
        pointer(NAME, &out, DType::BF16)?,
    ];
    arguments.extend([frames, height, width, filter.packed.inputs].map(Argument::int));
    arguments.extend([size[0], size[1], filter.outputs, stride, padding, magnify].map(Argument::int));
    let tile = ConvolutionTile::of(filter.outputs);
    let function = match tile {
        ConvolutionTile::C128 => "conv2d_128",
        ConvolutionTile::C96 => "conv2d_96",
        ConvolutionTile::C64 => "conv2d_64",
        ConvolutionTile::C32 => "conv2d_32",
    };
    let grid = tile.grid(frames * size[0] * size[1], filter.outputs);
    // SAFETY: x, the filter and the output have the extents given.
    unsafe { filter.device.launch("conv2d/kernel", function, grid, &arguments)? };
    Ok(out)
}
