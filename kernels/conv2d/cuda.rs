//! The implicit product of `causal_conv3d` with one tap in time; magnification and stride are index arithmetic. On Hopper
//! magnification is the definition's four filters of 2×2 taps, 4/9 of the work.

use super::cpu::taps;
use super::{NAME, Resample};
use crate::cuda::{Argument, Convolution, ConvolutionTile, Device, PackedFilter, empty, pointer};
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
    let packed = if device.hopper() && resample == Resample::Up {
        // A tap is (lower, right) of the pixel, then (row, column) of its filter.
        PackedFilter::new(device, [outputs, inputs, 16], bias, |output, tap, input| {
            let columns = taps(tap >> 2 & 1, tap & 1);
            let row = |y: usize| columns.clone().map(|x| value(output, 3 * y + x, input)).sum::<f32>();
            taps(tap >> 3, tap >> 1 & 1).map(row).sum()
        })?
    } else {
        PackedFilter::new(device, [outputs, inputs, 9], bias, value)?
    };
    Ok(Filter { device: device.clone(), packed, outputs, resample })
}

pub(super) fn conv2d(x: &Tensor, filter: &Filter) -> Result<Tensor> {
    let [frames, height, width, _] = x.axes(NAME, "x")?;
    let x = filter.packed.widen(NAME, x)?;
    if filter.device.hopper() {
        let up = filter.resample == Resample::Up;
        let convolution = Convolution {
            operator: NAME,
            x: &x,
            cache: None,
            before: 0,
            filter: &filter.packed,
            taps: if up { [1, 2, 2] } else { [1, 3, 3] },
            stride: [1, if up { 1 } else { 2 }],
            // Down, the zeros stand right and below, where the taps reach past the edge anyway.
            padding: if up { [1, 1] } else { [0, 0] },
            phases: if up { 4 } else { 1 },
            size: if up { [frames, height, width] } else { [frames, height / 2, width / 2] },
            outputs: filter.outputs,
            residual: None,
            then: None,
        };
        return convolution.run(&filter.device);
    }
    let (size, stride, padding, magnify) = match filter.resample {
        Resample::Up => ([2 * height, 2 * width], 1, 1, 2),
        Resample::Down => ([height / 2, width / 2], 2, 0, 1),
    };
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
