//! The definition. Up does not build the larger picture: each of the four pixels that come from one sees only 2×2 of the
//! smaller picture, with the taps that fall on the same pixel added together. That is 4/9 of the work.

use rayon::prelude::*;

use super::NAME;
use super::Resample;
use crate::cpu::{Convolution, PackedFilter, Window};
use crate::{Result, Tensor};

/// The filters of one direction.
#[derive(Debug, Clone)]
pub(super) enum Filters {
    /// 2×2 filters of the upper left, upper right, lower left and lower right pixel.
    Up(Box<[PackedFilter; 4]>),
    Down(PackedFilter),
}

pub(super) fn pack(weight: &[f32], inputs: usize, bias: &[f32], resample: Resample) -> Filters {
    let at =
        |output: usize, h: usize, w: usize, input: usize| weight[((output * inputs + input) * 3 + h) * 3 + w];
    match resample {
        Resample::Down => {
            Filters::Down(PackedFilter::new([1, 3, 3], inputs, bias, |output, [_, h, w], input| {
                at(output, h, w, input)
            }))
        }
        Resample::Up => Filters::Up(Box::new([(0, 0), (0, 1), (1, 0), (1, 1)].map(|(lower, right)| {
            PackedFilter::new([1, 2, 2], inputs, bias, |output, [_, h, w], input| {
                let columns = taps(right, w);
                let row = |h: usize| columns.clone().map(|w| at(output, h, w, input)).sum::<f32>();
                taps(lower, h).map(row).sum()
            })
        }))),
    }
}

pub(super) fn conv2d(x: &Tensor, filters: &Filters) -> Result<Tensor> {
    let [frames, height, width, channels] = x.axes(NAME, "x")?;
    let x = x.cpu(NAME)?;
    match filters {
        Filters::Down(filter) => {
            let input = pad(&x, [frames, height, width, channels], [0, 1]);
            let shape = [frames, height / 2, width / 2, filter.outputs];
            let mut out = vec![0.0; shape.iter().product()];
            let window = Window {
                padded: [height + 1, width + 1],
                output: [height / 2, width / 2],
                stride: [1, 2, 2],
            };
            Convolution { filter, input: &input, window, residual: None }.run(&mut out);
            Tensor::from_cpu(out, &shape)
        }
        Filters::Up(filters) => {
            let input = pad(&x, [frames, height, width, channels], [1, 1]);
            let outputs = filters[0].outputs;
            let shape = [frames, 2 * height, 2 * width, outputs];
            let mut out = vec![0.0; shape.iter().product()];
            let row = 2 * width * outputs;
            let window =
                Window { padded: [height + 2, width + 2], output: [height, width], stride: [1, 1, 1] };
            out.par_chunks_exact_mut(row).enumerate().for_each(|(line, out)| {
                let (frame, line) = (line / (2 * height), line % (2 * height));
                for (right, filter) in filters[line % 2 * 2..][..2].iter().enumerate() {
                    let convolution = Convolution { filter, input: &input, window, residual: None };
                    // The window of a lower or right pixel starts one further.
                    let start = line.div_ceil(2);
                    for panel in convolution.panels() {
                        convolution.line(frame, start, right, panel, |column, channel, sums| {
                            let at = (2 * column + right) * outputs + channel;
                            out[at..at + sums.len()].copy_from_slice(sums);
                        });
                    }
                }
            });
            Tensor::from_cpu(out, &shape)
        }
    }
}

/// The taps of the 3-wide filter that fall on tap `index` of the 2-wide one.
pub(super) fn taps(second: usize, index: usize) -> std::ops::Range<usize> {
    match (second, index) {
        (0, 0) => 0..1,
        (0, _) => 1..3,
        (_, 0) => 0..2,
        (_, _) => 2..3,
    }
}

/// A copy with `before` and `after` zeros around height and width.
fn pad(x: &[f32], shape: [usize; 4], [before, after]: [usize; 2]) -> Vec<f32> {
    let [frames, height, width, channels] = shape;
    let row = (before + width + after) * channels;
    let rows = before + height + after;
    let mut padded = vec![0.0; frames * rows * row];
    padded.par_chunks_exact_mut(row).enumerate().for_each(|(index, row)| {
        let line = (index % rows).checked_sub(before).filter(|&line| line < height);
        if let Some(line) = line {
            let source = &x[(index / rows * height + line) * width * channels..][..width * channels];
            row[before * channels..][..source.len()].copy_from_slice(source);
        }
    });
    padded
}

#[cfg(test)]
mod tests {
    use super::super::{Conv2d, conv2d};
    use super::*;
    use crate::Device;

    #[test]
    fn both_directions_equal_the_plain_formula() {
        let numbers = |count: usize, seed: usize| -> Vec<f32> {
            (0..count).map(|i| ((i * 7919 + seed) % 1009) as f32 / 1009.0 - 0.5).collect()
        };
        let (inputs, outputs) = (3, 5);
        let (weight, bias) = (numbers(outputs * inputs * 9, 1), numbers(outputs, 2));
        let both = [Resample::Up, Resample::Down];
        let cases =
            [(4, 6), (5, 6), (7, 3)].into_iter().flat_map(|size| both.map(|resample| (size, resample)));
        for ((height, width), resample) in cases {
            let x = numbers(2 * height * width * inputs, 3);
            let tensor = Tensor::from_cpu(x.clone(), &[2, height, width, inputs]).unwrap();
            let filter =
                Conv2d::new(&weight, [outputs, inputs, 3, 3], &bias, resample, &Device::Cpu).unwrap();
            let out = conv2d(&tensor, &filter).unwrap();
            let [_, rows, columns, _] = out.axes("test", "out").unwrap();
            let out = out.to_f32().unwrap();
            for (index, found) in out.iter().enumerate() {
                let (output, column) = (index % outputs, index / outputs % columns);
                let (row, frame) = (index / outputs / columns % rows, index / outputs / columns / rows);
                let mut expected = bias[output];
                for tap in 0..9 {
                    let source = match resample {
                        Resample::Up => [row + tap / 3, column + tap % 3]
                            .map(|at| at.checked_sub(1).map_or(usize::MAX, |at| at / 2)),
                        Resample::Down => [2 * row + tap / 3, 2 * column + tap % 3],
                    };
                    if source[0] < height && source[1] < width {
                        for input in 0..inputs {
                            expected += weight[(output * inputs + input) * 9 + tap]
                                * x[((frame * height + source[0]) * width + source[1]) * inputs + input];
                        }
                    }
                }
                assert!((found - expected).abs() < 1e-4, "{resample:?} {index}: {found} {expected}");
            }
        }
    }
}
