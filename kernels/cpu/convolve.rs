//! Convolution of channels-last frames: windows are read in place from a padded copy, so nothing is unfolded.
//! A window's rows of `kernel width · channels` elements are contiguous, and each is one run of the innermost loop.

use rayon::prelude::*;

use super::convolve_tile::{LANES, MAX_VECTORS, Tile};

/// Output positions that one task takes at least, so that a panel is read from memory once for many of them.
const TASK_POSITIONS: usize = 256;

/// A filter repacked into panels of output channels.
#[derive(Debug, Clone)]
pub(crate) struct PackedFilter {
    /// Extents in time, height and width.
    pub(crate) kernel: [usize; 3],
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    vectors: usize,
    /// `[panels, kt · kh · kw · inputs, vectors · LANES]`, missing channels zero.
    panels: Vec<f32>,
    bias: Vec<f32>,
}

/// The padded input of a convolution and how windows walk over it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    /// Padded height and width.
    pub(crate) padded: [usize; 2],
    /// Height and width of the output.
    pub(crate) output: [usize; 2],
    /// Steps in time, height and width.
    pub(crate) stride: [usize; 3],
}

/// One convolution. `output` is `[frames, output rows, output columns, outputs]`, or every second row and column of a
/// larger picture.
pub(crate) struct Convolution<'a> {
    pub(crate) filter: &'a PackedFilter,
    /// `[frames, padded height, padded width, inputs]`.
    pub(crate) input: &'a [f32],
    pub(crate) window: Window,
    /// Added to the result; as `output`.
    pub(crate) residual: Option<&'a [f32]>,
}

impl PackedFilter {
    /// Packs `weight(output, [kt, kh, kw], input)`.
    pub(crate) fn new(
        kernel: [usize; 3],
        inputs: usize,
        bias: &[f32],
        weight: impl Fn(usize, [usize; 3], usize) -> f32,
    ) -> Self {
        let outputs = bias.len();
        let padded = |vectors: usize| outputs.next_multiple_of(vectors * LANES);
        let vectors = (1..=MAX_VECTORS).rev().min_by_key(|&vectors| padded(vectors)).unwrap_or(1);
        let width = vectors * LANES;
        let mut panels = Vec::with_capacity(kernel.iter().product::<usize>() * inputs * padded(vectors));
        for panel in 0..padded(vectors) / width {
            for tap in 0..kernel.iter().product() {
                let tap = [tap / (kernel[1] * kernel[2]), tap / kernel[2] % kernel[1], tap % kernel[2]];
                for input in 0..inputs {
                    panels.extend(
                        (panel * width..(panel + 1) * width)
                            .map(|output| if output < outputs { weight(output, tap, input) } else { 0.0 }),
                    );
                }
            }
        }
        Self { kernel, inputs, outputs, vectors, panels, bias: bias.to_vec() }
    }
}

impl Convolution<'_> {
    /// Writes whole rows of outputs.
    pub(crate) fn run(&self, out: &mut [f32]) {
        let [height, width] = self.window.output;
        let row = width * self.filter.outputs;
        let rows = TASK_POSITIONS.div_ceil(width);
        out.par_chunks_mut(rows * row).enumerate().for_each(|(task, out)| {
            let first = task * rows;
            for (index, panel) in self.panels() {
                for (line, out) in out.chunks_exact_mut(row).enumerate() {
                    let line = first + line;
                    self.line(line / height, line % height, 0, (index, panel), |column, channel, sums| {
                        let at = column * self.filter.outputs + channel;
                        match self.residual {
                            Some(residual) => {
                                let residual = &residual[line * row + at..][..sums.len()];
                                let out = &mut out[at..at + sums.len()];
                                for ((out, sum), residual) in out.iter_mut().zip(sums).zip(residual) {
                                    *out = sum + residual;
                                }
                            }
                            None => out[at..at + sums.len()].copy_from_slice(sums),
                        }
                    });
                }
            }
        });
    }

    /// The panels with their numbers.
    pub(crate) fn panels(&self) -> impl Iterator<Item = (usize, &[f32])> {
        let [kt, kh, kw] = self.filter.kernel;
        let panel = kt * kh * kw * self.filter.inputs * self.filter.vectors * LANES;
        self.filter.panels.chunks_exact(panel).enumerate()
    }

    /// Gives `emit` the column, first channel and channels of every position of output row `row` of `frame`,
    /// bias added; windows start `column` padded columns to the right.
    pub(crate) fn line(
        &self,
        frame: usize,
        row: usize,
        column: usize,
        (index, panel): (usize, &[f32]),
        mut emit: impl FnMut(usize, usize, &[f32]),
    ) {
        let PackedFilter { kernel: [kt, kh, kw], inputs, outputs, vectors, .. } = *self.filter;
        let Window { padded: [height, width], stride, .. } = self.window;
        let runs: Vec<usize> =
            (0..kt * kh).map(|run| (run / kh * height + run % kh) * width * inputs).collect();
        let start = (frame * stride[0] * height + row * stride[1]) * width * inputs + column * inputs;
        let tile = Tile {
            input: &self.input[start..],
            step: stride[2] * inputs,
            runs: &runs,
            depth: kw * inputs,
            panel,
            vectors,
        };
        let channel = index * vectors * LANES;
        let count = (vectors * LANES).min(outputs - channel);
        let bias = &self.filter.bias[channel..channel + count];
        let mut biased = [0.0; MAX_VECTORS * LANES];
        tile.run(self.window.output[1], |column, sums| {
            for ((out, sum), bias) in biased.iter_mut().zip(sums).zip(bias) {
                *out = sum + bias;
            }
            emit(column, channel, &biased[..count]);
        });
    }
}
