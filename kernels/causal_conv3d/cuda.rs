//! Norm and SiLU in a pass of their own over history and chunk together (27 taps would repeat them in the load), then one
//! implicit product with bias and residual in its store; on Hopper the norm over the result too.

use super::{Around, NAME};
use crate::channel_norm::cuda::lanes;
use crate::cuda::{
    Argument, Buffer, Convolution, ConvolutionTile, Device, Grid, PackedFilter, cast, empty, optional,
    pointer,
};
use crate::{DType, Error, Result, Tensor};

/// A filter on the device.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    device: Device,
    packed: PackedFilter,
    kernel: [usize; 3],
    outputs: usize,
}

pub(super) fn pack(device: &Device, weight: &[f32], shape: [usize; 5], bias: &[f32]) -> Result<Filter> {
    let [outputs, inputs, kt, kh, kw] = shape;
    let taps = kt * kh * kw;
    let value = |output, tap, input| weight[(output * inputs + input) * taps + tap];
    let packed = PackedFilter::new(device, [outputs, inputs, taps], bias, value)?;
    Ok(Filter { device: device.clone(), packed, kernel: [kt, kh, kw], outputs })
}

pub(super) fn causal_conv3d(x: &Tensor, filter: &Filter, around: &Around) -> Result<Tensor> {
    let [frames, height, width, channels] = x.axes(NAME, "x")?;
    let [kt, kh, kw] = filter.kernel;
    if channels == 0 || frames * height * width > i32::MAX as usize {
        return Err(Error::argument(NAME, format!("a chunk of {:?}", x.shape())));
    }
    let stride = around.time_stride;
    let before = kt - stride;
    let input = Input::of(filter, x, around)?;
    let shape = [(before + frames - kt) / stride + 1, height, width, filter.outputs];
    let before = before - (input.frames.dim(0) - frames);
    let then = around.then.map(|gamma| cast(NAME, gamma, DType::F32)).transpose()?;
    let history = input.history.as_ref();
    let (out, normed) = if filter.device.hopper() {
        let with_norm = then.as_ref().filter(|_| Convolution::norms(filter.outputs));
        let convolution = Convolution {
            operator: NAME,
            x: &input.frames,
            cache: history,
            before,
            filter: &filter.packed,
            taps: filter.kernel,
            stride: [stride, 1],
            padding: [kh / 2, kw / 2],
            phases: 1,
            size: [shape[0], height, width],
            outputs: filter.outputs,
            residual: around.residual,
            then: with_norm,
        };
        (convolution.run(&filter.device)?, with_norm.is_some())
    } else {
        (common(filter, &input.frames, history, before, shape, around)?, false)
    };
    // What follows computes in as much.
    drop(input);
    match then.filter(|_| !normed) {
        Some(gamma) => {
            let result = empty(&filter.device, &shape, DType::BF16)?;
            norm_silu(&filter.device, &out, &gamma, &result)?;
            Ok(result)
        }
        None => Ok(out),
    }
}

/// The product on the tensor cores of every generation; gives `shape`.
fn common(
    filter: &Filter,
    x: &Tensor,
    history: Option<&Tensor>,
    before: usize,
    shape: [usize; 4],
    around: &Around,
) -> Result<Tensor> {
    let [kt, kh, kw] = filter.kernel;
    let [_, height, width, outputs] = shape;
    let out = empty(&filter.device, &shape, DType::BF16)?;
    let mut arguments = vec![
        pointer(NAME, x, DType::BF16)?,
        optional(NAME, history, DType::BF16)?,
        pointer(NAME, &filter.packed.weight, DType::BF16)?,
        pointer(NAME, &filter.packed.bias, DType::F32)?,
        optional(NAME, around.residual, DType::BF16)?,
        pointer(NAME, &out, DType::BF16)?,
    ];
    let remembered = history.map_or(0, |history| history.dim(0));
    arguments.extend([x.dim(0), height, width, filter.packed.inputs].map(Argument::int));
    arguments.extend([before, remembered].map(Argument::int));
    arguments.extend(shape.map(Argument::int));
    arguments.extend([kt, kh, kw].map(Argument::int));
    // Stride in time and space, padding above and left, magnification.
    arguments.extend([around.time_stride, 1, kh / 2, kw / 2, 1].map(Argument::int));
    let tile = ConvolutionTile::of(outputs);
    let function = match tile {
        ConvolutionTile::C128 => "causal_conv3d_128",
        ConvolutionTile::C96 => "causal_conv3d_96",
        ConvolutionTile::C64 => "causal_conv3d_64",
        ConvolutionTile::C32 => "causal_conv3d_32",
    };
    let grid = tile.grid(shape[0] * height * width, outputs);
    // SAFETY: the frames, the filter and the output have the extents given; residual and output one shape.
    unsafe { filter.device.launch(IMAGE, function, grid, &arguments)? };
    Ok(out)
}

/// silu(norm(x)) to `out`, both `[…, C]` of as many positions.
fn norm_silu(device: &Device, x: &Tensor, gamma: &Tensor, out: &Tensor) -> Result<()> {
    let channels = gamma.count();
    let positions = x.count() / channels;
    let arguments = [
        pointer(NAME, x, DType::BF16)?,
        pointer(NAME, gamma, DType::F32)?,
        pointer(NAME, out, DType::BF16)?,
        Argument::long(positions),
        Argument::int(channels),
        Argument::int(lanes(channels)),
    ];
    let grid = Grid::elements(positions * lanes(channels));
    // SAFETY: x and out hold the same positions and channels.
    unsafe { device.launch(IMAGE, "causal_conv3d_norm", grid, &arguments)? };
    Ok(())
}

const IMAGE: &str = "causal_conv3d/kernel";

/// What the product reads: the chunk, and history that does not stand in front of it in one piece.
struct Input {
    frames: Tensor,
    history: Option<Tensor>,
}

impl Input {
    fn of(filter: &Filter, x: &Tensor, around: &Around) -> Result<Self> {
        let history = around.history.filter(|history| history.dim(0) > 0);
        let Some(gamma) = around.norm else {
            let history = history.map(|history| filter.packed.widen(NAME, history)).transpose()?;
            return Ok(Self { frames: filter.packed.widen(NAME, x)?, history });
        };
        // History goes through the norm again: two frames a chunk, for one buffer that needs no second address.
        let gamma = cast(NAME, gamma, DType::F32)?;
        let mut shape = x.shape().to_vec();
        shape[0] += history.map_or(0, |history| history.dim(0));
        let count: usize = shape.iter().product();
        let buffer = Buffer::empty(&filter.device, count * DType::BF16.size())?;
        let whole = Tensor::from_cuda(buffer, &shape, DType::BF16);
        let mut row = 0;
        for part in history.into_iter().chain([x]) {
            norm_silu(&filter.device, part, &gamma, &whole.rows(row..row + part.dim(0))?)?;
            row += part.dim(0);
        }
        Ok(Self { frames: filter.packed.widen(NAME, &whole)?, history: None })
    }
}
