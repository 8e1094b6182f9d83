//! The definition: what the 8-bit kernels compute, in float32 numbers that only take 8-bit values.

use rayon::prelude::*;

use super::NAME;
use crate::cpu::{Gemm, Threads, round_e4m3};
use crate::sla_mask::BlockMap;
use crate::{Result, Tensor};

/// log₂ 448, the largest e4m3 value: probabilities use the format's whole range.
const PROBABILITY_OFFSET: f32 = 8.807;

/// Upstream's bound on quantised values, which lets 64 products of 448·2.25 be summed in float16.
const VALUE_RANGE: f32 = 2.25;

/// Upstream's start of the running maximum.
const LOWEST: f32 = -5e6;

pub(super) fn sage_attention(q: &Tensor, k: &Tensor, v: &Tensor, map: &BlockMap) -> Result<Tensor> {
    let [heads, query_blocks, count] = map.chosen.axes(NAME, "map")?;
    let [tokens, width] = q.axes(NAME, "q")?;
    let dim = width / heads;
    let chosen = map.chosen.to_u32()?;
    let (q, k, v) = (q.cpu(NAME)?, k.cpu(NAME)?, v.cpu(NAME)?);
    let (q, k, v): (&[f32], &[f32], &[f32]) = (&q, &k, &v);

    let by_head: Vec<Vec<f32>> = (0..heads)
        .into_par_iter()
        .map(|head| {
            let gather = |x: &[f32]| -> Vec<f32> {
                x.chunks_exact(width).flat_map(|row| &row[head * dim..(head + 1) * dim]).copied().collect()
            };
            let mut keys = gather(k);
            centre(&mut keys, dim);
            let (keys, key_scales) = quantise_blocks(&keys, map.size.keys * dim);
            let (queries, query_scales) = quantise_blocks(&gather(q), map.size.queries * dim);
            let (values, value_scales) = quantise_channels(gather(v), dim);
            let mut out = Vec::with_capacity(tokens * dim);
            for (block, queries) in queries.chunks(map.size.queries * dim).enumerate() {
                let mut state = State::new(queries.len() / dim, dim);
                for &key_block in &chosen[(head * query_blocks + block) * count..][..count] {
                    let key_block = key_block as usize;
                    let first = key_block * map.size.keys;
                    let range = first * dim..tokens.min(first + map.size.keys) * dim;
                    let scale = query_scales[block] * key_scales[key_block];
                    state.visit(queries, &keys[range.clone()], &values[range], scale);
                }
                state.finish(&value_scales, &mut out);
            }
            out
        })
        .collect();
    let mut out = Vec::with_capacity(tokens * width);
    for token in 0..tokens {
        by_head.iter().for_each(|head| out.extend_from_slice(&head[token * dim..(token + 1) * dim]));
    }
    Tensor::from_cpu(out, &[tokens, width])
}

fn centre(keys: &mut [f32], dim: usize) {
    let mut mean = vec![0.0; dim];
    for row in keys.chunks_exact(dim) {
        mean.iter_mut().zip(row).for_each(|(mean, value)| *mean += value);
    }
    let tokens = (keys.len() / dim) as f32;
    for row in keys.chunks_exact_mut(dim) {
        row.iter_mut().zip(&mean).for_each(|(value, mean)| *value -= mean / tokens);
    }
}

/// int8 values, as floats, and a scale for every `block` elements.
fn quantise_blocks(x: &[f32], block: usize) -> (Vec<f32>, Vec<f32>) {
    let scale = |block: &[f32]| block.iter().fold(0.0f32, |max, x| max.max(x.abs())) / 127.0 + 1e-7;
    let scales: Vec<f32> = x.chunks(block).map(scale).collect();
    // `round` takes halves away from zero, as the format says.
    let values = x.iter().enumerate().map(|(i, x)| (x / scales[i / block]).round().clamp(-127.0, 127.0));
    (values.collect(), scales)
}

/// e4m3 values, as floats, and a scale for every channel.
fn quantise_channels(mut v: Vec<f32>, dim: usize) -> (Vec<f32>, Vec<f32>) {
    let mut largest = vec![0.0f32; dim];
    for row in v.chunks_exact(dim) {
        largest.iter_mut().zip(row).for_each(|(largest, value)| *largest = largest.max(value.abs()));
    }
    // An all-zero channel keeps its zeros instead of dividing by zero.
    let scales: Vec<f32> =
        largest.iter().map(|&largest| if largest > 0.0 { largest / VALUE_RANGE } else { 1.0 }).collect();
    for row in v.chunks_exact_mut(dim) {
        row.iter_mut().zip(&scales).for_each(|(value, scale)| *value = round_e4m3(*value / scale));
    }
    (v, scales)
}

struct State {
    dim: usize,
    highest: Vec<f32>,
    sum: Vec<f32>,
    weighted: Vec<f32>,
}

impl State {
    fn new(queries: usize, dim: usize) -> Self {
        Self {
            dim,
            highest: vec![LOWEST; queries],
            sum: vec![0.0; queries],
            weighted: vec![0.0; queries * dim],
        }
    }

    fn visit(&mut self, queries: &[f32], keys: &[f32], values: &[f32], scale: f32) {
        let (dim, rows, columns) = (self.dim, self.highest.len(), keys.len() / self.dim);
        let factor = scale * std::f32::consts::LOG2_E / (dim as f32).sqrt();
        let product = |lhs, depth, rhs, rhs_strides, columns, accumulate| Gemm {
            size: (rows, columns, depth),
            lhs,
            lhs_strides: (depth, 1),
            rhs,
            rhs_strides,
            out_row: columns,
            factor: 1.0,
            accumulate,
            threads: Threads::One,
        };
        let mut scores = vec![0.0; rows * columns];
        product(queries, dim, keys, (1, dim), columns, false).run(&mut scores);
        for (row, scores) in scores.chunks_exact_mut(columns).enumerate() {
            scores.iter_mut().for_each(|score| *score *= factor);
            let highest = scores.iter().copied().fold(self.highest[row], f32::max);
            let rescale = (self.highest[row] - highest).exp2();
            let mut sum = 0.0;
            for score in scores.iter_mut() {
                let probability = (*score - highest + PROBABILITY_OFFSET).exp2();
                sum += probability;
                *score = round_e4m3(probability);
            }
            self.sum[row] = self.sum[row] * rescale + sum;
            self.highest[row] = highest;
            self.weighted[row * dim..(row + 1) * dim].iter_mut().for_each(|value| *value *= rescale);
        }
        product(&scores, columns, values, (dim, 1), dim, true).run(&mut self.weighted);
    }

    fn finish(self, value_scales: &[f32], out: &mut Vec<f32>) {
        for (weighted, sum) in self.weighted.chunks_exact(self.dim).zip(&self.sum) {
            out.extend(weighted.iter().zip(value_scales).map(|(value, scale)| value / sum * scale));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention::attention;
    use crate::sla_mask::{BlockSize, sla_mask};

    /// What 8-bit scores, probabilities and values cost on noise.
    const TOLERANCE: f32 = 0.04;

    #[test]
    fn all_blocks_chosen_are_close_to_dense_attention() {
        let (tokens, width) = (300, 128);
        let numbers = |seed: u64| {
            let mut state = seed;
            let data = (0..tokens * width).map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                ((state >> 40) as f32 / (1u64 << 24) as f32 - 0.5) * 4.0
            });
            Tensor::from_cpu(data.collect(), &[tokens, width]).unwrap()
        };
        let (q, k, v) = (numbers(1), numbers(2), numbers(3));
        for size in [BlockSize { queries: 64, keys: 128 }, BlockSize { queries: 128, keys: 64 }] {
            let map = sla_mask(&q, &k, 2, size, 1.0).unwrap();
            let quantised = sage_attention(&q, &k, &v, &map).unwrap().to_f32().unwrap();
            let dense = attention(&q, &k, &v, 2).unwrap().to_f32().unwrap();
            let error: f32 = quantised.iter().zip(&dense).map(|(a, b)| (a - b) * (a - b)).sum();
            let size: f32 = dense.iter().map(|a| a * a).sum();
            assert!((error / size).sqrt() < TOLERANCE, "{}", (error / size).sqrt());
        }
    }
}
