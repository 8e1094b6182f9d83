//! The definition: norm and SiLU on the way into a padded copy, windows over that copy, norm and SiLU over the result.

use rayon::prelude::*;

use super::{Around, NAME};
use crate::cpu::{Convolution, PackedFilter, Window, inverse_norm, silu, vectorised};
use crate::{Result, Tensor};

pub(super) fn pack(weight: &[f32], shape: [usize; 5], bias: &[f32]) -> PackedFilter {
    let [_, inputs, kt, kh, kw] = shape;
    PackedFilter::new([kt, kh, kw], inputs, bias, |output, [t, h, w], input| {
        weight[(((output * inputs + input) * kt + t) * kh + h) * kw + w]
    })
}

pub(super) fn causal_conv3d(x: &Tensor, filter: &PackedFilter, around: &Around) -> Result<Tensor> {
    let [frames, height, width, channels] = x.axes(NAME, "x")?;
    let [kt, kh, kw] = filter.kernel;
    let stride = around.time_stride;
    let lead = kt - stride;
    let padded = [height + kh - 1, width + kw - 1];

    let history = around.history.map(|history| history.cpu(NAME)).transpose()?;
    let gamma = around.norm.map(|gamma| gamma.cpu(NAME)).transpose()?;
    let residual = around.residual.map(|residual| residual.cpu(NAME)).transpose()?;
    let x = x.cpu(NAME)?;
    let (x, gamma): (&[f32], Option<&[f32]>) = (&x, gamma.as_deref());
    let history: &[f32] = history.as_deref().unwrap_or_default();

    let frame = height * width * channels;
    let missing = lead - history.len() / frame.max(1);
    let source = |index: usize| {
        let past = history.chunks_exact(frame);
        index.checked_sub(missing).and_then(|index| past.chain(x.chunks_exact(frame)).nth(index))
    };
    let row = padded[1] * channels;
    let mut input = vec![0.0; (lead + frames) * padded[0] * row]; // (history + t, h + pad, w + pad, c)
    input.par_chunks_exact_mut(row).enumerate().for_each(|(index, row)| {
        let line = (index % padded[0]).checked_sub(kh / 2).filter(|&line| line < height);
        let Some((line, frame)) = line.zip(source(index / padded[0])) else { return };
        let inside = &mut row[kw / 2 * channels..][..width * channels];
        inside.copy_from_slice(&frame[line * width * channels..][..width * channels]);
        if let Some(gamma) = gamma {
            norm_silu(inside, gamma);
        }
    });

    let shape = [(lead + frames - kt) / stride + 1, height, width, filter.outputs];
    let mut out = vec![0.0; shape.iter().product()];
    let window = Window { padded, output: [height, width], stride: [stride, 1, 1] };
    Convolution { filter, input: &input, window, residual: residual.as_deref() }.run(&mut out);
    if let Some(gamma) = around.then {
        let gamma = gamma.cpu(NAME)?;
        let gamma: &[f32] = &gamma;
        out.par_chunks_exact_mut(width * filter.outputs).for_each(|line| norm_silu(line, gamma));
    }
    Tensor::from_cpu(out, &shape)
}

fn norm_silu(positions: &mut [f32], gamma: &[f32]) {
    vectorised(
        #[inline(always)]
        || {
            for position in positions.chunks_exact_mut(gamma.len()) {
                let factor = inverse_norm(position);
                for (value, gamma) in position.iter_mut().zip(gamma) {
                    *value = silu(*value * factor * gamma);
                }
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::super::{Conv3d, causal_conv3d};
    use super::*;
    use crate::Device;

    fn numbers(shape: &[usize], seed: usize) -> Vec<f32> {
        (0..shape.iter().product()).map(|i| ((i * 7919 + seed) % 1009) as f32 / 1009.0 - 0.5).collect()
    }

    #[test]
    fn windows_equal_the_plain_formula() {
        for outputs in [3, 8, 20, 24] {
            let (size, inputs) = ([4, 5, 9], 5);
            let shape = [outputs, inputs, 3, 3, 3];
            let (weight, bias) = (numbers(&shape, 1), numbers(&[outputs], 2));
            let x = numbers(&[4, 5, 9, inputs], 3);
            let filter = Conv3d::new(&weight, shape, &bias, &Device::Cpu).unwrap();
            let tensor = Tensor::from_cpu(x.clone(), &[4, 5, 9, inputs]).unwrap();
            let out = causal_conv3d(&tensor, &filter, &Around::NOTHING).unwrap().to_f32().unwrap();
            for (t, h, w) in [(0, 0, 0), (1, 2, 8), (3, 4, 4)] {
                for output in 0..outputs {
                    let mut expected = bias[output];
                    for tap in 0..27 {
                        let at: [usize; 3] = [t + tap / 9, h + tap / 3 % 3, w + tap % 3];
                        let at = [at[0].wrapping_sub(2), at[1].wrapping_sub(1), at[2].wrapping_sub(1)];
                        if at.iter().zip(size).all(|(&at, size)| at < size) {
                            for input in 0..inputs {
                                expected += weight[(output * inputs + input) * 27 + tap]
                                    * x[((at[0] * 5 + at[1]) * 9 + at[2]) * inputs + input];
                            }
                        }
                    }
                    let found = out[((t * 5 + h) * 9 + w) * outputs + output];
                    assert!((found - expected).abs() < 1e-4, "{found} {expected}");
                }
            }
        }
    }

    #[test]
    fn norm_after_equals_norm_before_the_next() {
        let shape = [8, 8, 3, 3, 3];
        let filter = Conv3d::new(&numbers(&shape, 1), shape, &numbers(&[8], 2), &Device::Cpu).unwrap();
        let x = Tensor::from_cpu(numbers(&[3, 3, 4, 8], 3), &[3, 3, 4, 8]).unwrap();
        let gamma = Tensor::from_cpu(numbers(&[8], 4), &[8]).unwrap();
        let run = |x: &Tensor, norm, then| {
            causal_conv3d(x, &filter, &Around { norm, then, ..Around::NOTHING }).unwrap()
        };
        let before = run(&run(&x, None, None), Some(&gamma), None);
        let after = run(&run(&x, None, Some(&gamma)), None, None);
        assert_eq!(before.to_f32().unwrap(), after.to_f32().unwrap());
    }

    #[test]
    fn a_chunk_with_its_history_equals_the_whole() {
        let shape = [8, 8, 3, 3, 3];
        let filter = Conv3d::new(&numbers(&shape, 1), shape, &numbers(&[8], 2), &Device::Cpu).unwrap();
        let x = Tensor::from_cpu(numbers(&[5, 3, 4, 8], 3), &[5, 3, 4, 8]).unwrap();
        let gamma = Tensor::from_cpu(numbers(&[8], 4), &[8]).unwrap();
        let around = |history| Around { history, norm: Some(&gamma), residual: Some(&x), ..Around::NOTHING };
        let whole = causal_conv3d(&x, &filter, &around(None)).unwrap();

        let (first, history, second) = (x.rows(0..3).unwrap(), x.rows(1..3).unwrap(), x.rows(3..5).unwrap());
        let first =
            causal_conv3d(&first, &filter, &Around { residual: Some(&first), ..around(None) }).unwrap();
        let around = Around { residual: Some(&second), ..around(Some(&history)) };
        let second = causal_conv3d(&second, &filter, &around).unwrap();
        let joined = Tensor::concat(&[&first, &second]).unwrap();
        assert_eq!(joined.to_f32().unwrap(), whole.to_f32().unwrap());
    }
}
