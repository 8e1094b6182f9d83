//! Softmax attention over tiles of keys: running maximum, sum and weighted values of a block of queries.

use rayon::prelude::*;

use super::{Gemm, Threads, exp, maximum, sum, vectorised};

/// Queries that one task takes: enough to pay for packing the keys.
const QUERY_BLOCK: usize = 128;

/// Keys that are scored at once; 128 × 512 scores stay in the second-level cache.
const KEY_BLOCK: usize = 512;

/// Rows of one head in token-major memory.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(crate) values: &'a [f32],
    /// Elements from one token to the next.
    pub(crate) stride: usize,
}

impl<'a> Rows<'a> {
    /// The rows from token `first`, shifted by `channel` elements.
    pub(crate) fn at(self, first: usize, channel: usize) -> Self {
        Self { values: &self.values[first * self.stride + channel..], stride: self.stride }
    }
}

/// Dense attention of `heads` heads of `dim` channels: `out` is `[queries, heads · dim]`, one row after another.
pub(crate) fn attend(q: Rows, k: Rows, v: Rows, keys: usize, heads: usize, dim: usize, out: &mut [f32]) {
    let width = heads * dim;
    let scale = 1.0 / (dim as f32).sqrt();
    out.par_chunks_mut(QUERY_BLOCK * width).enumerate().for_each(|(block, out)| {
        let first = block * QUERY_BLOCK;
        for head in 0..heads {
            let channel = head * dim;
            let mut softmax = OnlineSoftmax::new(out.len() / width, dim, scale);
            for key in (0..keys).step_by(KEY_BLOCK) {
                let count = KEY_BLOCK.min(keys - key);
                softmax.visit(q.at(first, channel), k.at(key, channel), v.at(key, channel), count);
            }
            softmax.finish(&mut out[channel..], width);
        }
    });
}

/// The running state of one block of queries of one head.
pub(crate) struct OnlineSoftmax {
    dim: usize,
    scale: f32,
    highest: Vec<f32>,
    sum: Vec<f32>,
    /// Weighted values `[queries, dim]`.
    weighted: Vec<f32>,
    scores: Vec<f32>,
}

impl OnlineSoftmax {
    pub(crate) fn new(queries: usize, dim: usize, scale: f32) -> Self {
        Self {
            dim,
            scale,
            highest: vec![f32::NEG_INFINITY; queries],
            sum: vec![0.0; queries],
            weighted: vec![0.0; queries * dim],
            scores: Vec::new(),
        }
    }

    /// Takes in `keys` more keys and values.
    pub(crate) fn visit(&mut self, q: Rows, k: Rows, v: Rows, keys: usize) {
        let (queries, dim) = (self.highest.len(), self.dim);
        self.scores.resize(queries * keys, 0.0);
        Gemm {
            size: (queries, keys, dim),
            lhs: q.values,
            lhs_strides: (q.stride, 1),
            rhs: k.values,
            rhs_strides: (1, k.stride),
            out_row: keys,
            factor: self.scale,
            accumulate: false,
            threads: Threads::One,
        }
        .run(&mut self.scores); // (queries, keys)
        vectorised(
            #[inline(always)]
            || {
                for (query, scores) in self.scores.chunks_exact_mut(keys).enumerate() {
                    let block_highest = maximum(scores);
                    let highest = self.highest[query].max(block_highest);
                    let rescale = exp(self.highest[query] - highest);
                    scores.iter_mut().for_each(|score| *score = exp(*score - highest));
                    self.sum[query] = self.sum[query] * rescale + sum(scores);
                    self.highest[query] = highest;
                    let weighted = &mut self.weighted[query * dim..(query + 1) * dim];
                    weighted.iter_mut().for_each(|value| *value *= rescale);
                }
            },
        );
        Gemm {
            size: (queries, dim, keys),
            lhs: &self.scores,
            lhs_strides: (keys, 1),
            rhs: v.values,
            rhs_strides: (v.stride, 1),
            out_row: dim,
            factor: 1.0,
            accumulate: true,
            threads: Threads::One,
        }
        .run(&mut self.weighted); // (queries, dim)
    }

    /// Writes the weighted means; rows of `out` are `stride` elements apart.
    pub(crate) fn finish(self, out: &mut [f32], stride: usize) {
        for (query, weighted) in self.weighted.chunks_exact(self.dim).enumerate() {
            let inverse = 1.0 / self.sum[query];
            let row = &mut out[query * stride..query * stride + self.dim];
            row.iter_mut().zip(weighted).for_each(|(out, value)| *out = value * inverse);
        }
    }
}
