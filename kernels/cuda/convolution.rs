//! What the convolutions share on the host: filters repacked for the implicit product, and the choice of its tile.

use super::{Argument, Device, Grid, empty, pointer};
use crate::{DType, Result, Tensor};

/// Input channels are copied eight at a time.
const CHANNEL_GRAIN: usize = 8;
/// Output positions of a tile, products of one step and steps in flight; as in `implicit_gemm.cuh`.
const POSITIONS: usize = 128;
const DEPTH: usize = 32;
const STAGES: usize = 4;

/// A filter as rows of (tap, input channel), and its bias.
#[derive(Debug, Clone)]
pub(crate) struct PackedFilter {
    /// `[outputs, taps · inputs]` bfloat16, inputs rounded up to whole grains of zeros.
    pub(crate) weight: Tensor,
    /// `[outputs]` float32.
    pub(crate) bias: Tensor,
    /// Input channels with the padding.
    pub(crate) inputs: usize,
}

impl PackedFilter {
    /// `value(output, tap, input)` gives the filter's numbers; taps run over time, height, width.
    pub(crate) fn new(
        device: &Device,
        [outputs, inputs, taps]: [usize; 3],
        bias: &[f32],
        value: impl Fn(usize, usize, usize) -> f32,
    ) -> Result<Self> {
        let padded = inputs.next_multiple_of(CHANNEL_GRAIN);
        let mut packed = vec![0.0; outputs * taps * padded];
        for (index, row) in packed.chunks_exact_mut(padded).enumerate() {
            let (output, tap) = (index / taps, index % taps);
            row[..inputs].iter_mut().enumerate().for_each(|(input, to)| *to = value(output, tap, input));
        }
        let device = crate::Device::Cuda(device.clone());
        Ok(Self {
            weight: Tensor::from_f32(packed, &[outputs, taps * padded], DType::BF16, &device)?,
            bias: Tensor::from_f32(bias.to_vec(), &[outputs], DType::F32, &device)?,
            inputs: padded,
        })
    }

    /// `x`, whose last axis is the channels, with as many channels as the filter was padded to.
    pub(crate) fn widen(&self, operator: &'static str, x: &Tensor) -> Result<Tensor> {
        let mut shape = x.shape().to_vec();
        let channels = shape.pop().unwrap_or(0);
        if channels == self.inputs {
            return Ok(x.clone());
        }
        let positions: usize = shape.iter().product();
        shape.push(self.inputs);
        let device = x.cuda(operator)?.device();
        let out = empty(&device, &shape, DType::BF16)?;
        let arguments = [
            pointer(operator, x, DType::BF16)?,
            pointer(operator, &out, DType::BF16)?,
            Argument::long(positions),
            Argument::int(channels),
            Argument::int(self.inputs),
        ];
        // SAFETY: both have `positions` rows, of `channels` and of `inputs`.
        unsafe { device.launch("cuda/kernel", "widen_rows", Grid::elements(out.count()), &arguments)? };
        Ok(out)
    }
}

/// How many output channels a block computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConvolutionTile {
    C128,
    C96,
    C64,
    C32,
}

impl ConvolutionTile {
    /// The tile that computes the fewest channels nobody asked for; the larger among equals.
    pub(crate) fn of(outputs: usize) -> Self {
        let all = [Self::C128, Self::C96, Self::C64, Self::C32];
        let computed = |tile: &Self| outputs.next_multiple_of(tile.channels());
        all.into_iter().min_by_key(computed).unwrap_or(Self::C32)
    }

    /// The grid for `positions` outputs of `outputs` channels.
    pub(crate) fn grid(self, positions: usize, outputs: usize) -> Grid {
        let blocks = (positions.div_ceil(POSITIONS), outputs.div_ceil(self.channels()), 1);
        let shared = DType::BF16.size() * STAGES * DEPTH * (POSITIONS + self.channels());
        Grid { blocks, threads: 256, shared }
    }

    fn channels(self) -> usize {
        match self {
            Self::C128 => 128,
            Self::C96 => 96,
            Self::C64 => 64,
            Self::C32 => 32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_channel_counts_waste_nothing() {
        let tiles = [384, 768, 192, 96].map(ConvolutionTile::of);
        use ConvolutionTile::{C96, C128};
        assert_eq!(tiles, [C128, C128, C96, C96]);
        assert_eq!(ConvolutionTile::of(3), ConvolutionTile::C32);
    }
}
