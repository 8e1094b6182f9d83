//! Elementwise functions that the compiler can vectorise, and loops over rows on all cores.

use rayon::prelude::*;

/// Rows that one task takes at least, so that a task is worth its start.
const TASK_ELEMENTS: usize = 16 * 1024;

/// Runs `body(row index, row)` for every row of `width` elements, on all cores and with vector instructions.
pub(crate) fn for_each_row(out: &mut [f32], width: usize, body: impl Fn(usize, &mut [f32]) + Sync) {
    let rows = (TASK_ELEMENTS / width.max(1)).max(1);
    out.par_chunks_mut(rows * width).enumerate().for_each(|(task, chunk)| {
        vectorised(
            #[inline(always)]
            || {
                for (row, out) in chunk.chunks_exact_mut(width).enumerate() {
                    body(task * rows + row, out);
                }
            },
        );
    });
}

/// Compiles what is inlined into `body` for the widest vector instructions of this processor.
pub(crate) fn vectorised(body: impl FnOnce()) {
    pulp::Arch::new().dispatch(body);
}

/// `e^x` within 2 units in the last place; 0 far below and infinity far above the range of float32.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    /// Adding and subtracting 1.5·2²³ rounds to the nearest integer without a call.
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let bounded = x.clamp(-87.3, 88.7);
    let n = (bounded * std::f32::consts::LOG2_E + ROUND) - ROUND;
    let r = bounded - n * LN2_HIGH - n * LN2_LOW;
    let mut p = 1.987_569_1e-4;
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_66, 0.5] {
        p = p * r + coefficient;
    }
    let mantissa = p * r * r + r + 1.0;
    // n reaches 128, whose power of two is beyond float32: two halves are not.
    let half = (n as i32) >> 1;
    let rest = n as i32 - half;
    let power = |n: i32| f32::from_bits(((n + 127) << 23) as u32);
    let value = mantissa * power(half) * power(rest);
    if x < -87.3 { 0.0 } else { value }
}

/// `x · sigmoid(x)`.
#[inline(always)]
pub(crate) fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

/// `0.5·x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))`.
#[inline(always)]
pub(crate) fn gelu_tanh(x: f32) -> f32 {
    /// 2·√(2/π): the tanh form is a sigmoid of twice its argument.
    const FACTOR: f32 = 1.595_769;
    x / (1.0 + exp(-FACTOR * (x + 0.044_715 * x * x * x)))
}

/// Turns scores into their softmax.
#[inline(always)]
pub(crate) fn softmax_row(row: &mut [f32]) {
    let highest = maximum(row);
    row.iter_mut().for_each(|value| *value = exp(*value - highest));
    let inverse = 1.0 / sum(row);
    row.iter_mut().for_each(|value| *value *= inverse);
}

/// `√C / max(‖x‖₂, 1e-12)`, the factor of the autoencoder's norm.
#[inline(always)]
pub(crate) fn inverse_norm(row: &[f32]) -> f32 {
    /// Upstream's floor, which makes an all-zero position stay zero.
    const FLOOR: f32 = 1e-12;
    let squares = reduce(
        row,
        0.0,
        #[inline(always)]
        |sum, value| sum + value * value,
    );
    (row.len() as f32).sqrt() / squares.sqrt().max(FLOOR)
}

/// The sum of a row.
#[inline(always)]
pub(crate) fn sum(row: &[f32]) -> f32 {
    reduce(
        row,
        0.0,
        #[inline(always)]
        |sum, value| sum + value,
    )
}

/// The mean of the squares of a row's distances from `centre`.
#[inline(always)]
pub(crate) fn mean_square(row: &[f32], centre: f32) -> f32 {
    let squares = reduce(
        row,
        0.0,
        #[inline(always)]
        |sum, value| sum + (value - centre) * (value - centre),
    );
    squares / row.len() as f32
}

/// The largest element of a row.
#[inline(always)]
pub(crate) fn maximum(row: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (whole, rest) = row.as_chunks::<LANES>();
    for chunk in whole {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = if value > *lane { value } else { *lane };
        }
    }
    lanes.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max)
}

/// Independent partial results of a reduction: enough for one vector register of any processor.
const LANES: usize = 16;

/// Sums `step` over a row, in [`LANES`] independent lanes.
#[inline(always)]
fn reduce(row: &[f32], start: f32, step: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [start; LANES];
    let (whole, rest) = row.as_chunks::<LANES>();
    for chunk in whole {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = step(*lane, value);
        }
    }
    lanes.iter().sum::<f32>() + rest.iter().fold(start, |sum, &value| step(sum, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_accurate_and_bounded() {
        for step in -8600..8800 {
            let x = step as f32 * 0.01;
            let exact = f64::from(x).exp();
            assert!((f64::from(exp(x)) / exact - 1.0).abs() < 3e-7, "exp({x})");
        }
        assert_eq!(exp(-200.0), 0.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
    }

    #[test]
    fn not_a_number_stays_one() {
        assert!(silu(f32::NAN).is_nan() && gelu_tanh(f32::NAN).is_nan() && exp(f32::NAN).is_nan());
    }
}
