//! The definition.

use rayon::prelude::*;

use crate::cpu::{Gemm, Threads, softmax_row, vectorised};
use crate::position_bias::PositionBias;
use crate::{Result, Tensor};

pub(super) fn text_attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    bias: &PositionBias,
    is_text: &[bool],
) -> Result<Tensor> {
    let [positions, width] = q.axes(super::NAME, "q")?;
    let heads = bias.by_distance.dim(0);
    let dim = width / heads;
    let bias = bias.by_distance.cpu(super::NAME)?;
    let (q, k, v) = (q.cpu(super::NAME)?, k.cpu(super::NAME)?, v.cpu(super::NAME)?);
    let (q, k, v): (&[f32], &[f32], &[f32]) = (&q, &k, &v);
    let by_distance: &[f32] = &bias;

    let head_output = |head: usize| {
        let channel = head * dim;
        let mut scores = vec![0.0; positions * positions]; // (query, key)
        let product = |lhs, lhs_strides, rhs, rhs_strides, columns, depth| Gemm {
            size: (positions, columns, depth),
            lhs,
            lhs_strides,
            rhs,
            rhs_strides,
            out_row: columns,
            factor: 1.0,
            accumulate: false,
            threads: Threads::One,
        };
        product(&q[channel..], (width, 1), &k[channel..], (1, width), positions, dim).run(&mut scores);
        let bias = &by_distance[head * (2 * positions - 1)..];
        vectorised(
            #[inline(always)]
            || {
                for (query, row) in scores.chunks_exact_mut(positions).enumerate() {
                    for (key, score) in row.iter_mut().enumerate() {
                        let biased = *score + bias[key + positions - 1 - query];
                        *score = if is_text[key] { biased } else { f32::NEG_INFINITY };
                    }
                    softmax_row(row);
                }
            },
        );
        let mut out = vec![0.0; positions * dim]; // (query, channel)
        product(&scores, (positions, 1), &v[channel..], (width, 1), dim, positions).run(&mut out);
        out
    };
    let by_head: Vec<Vec<f32>> = (0..heads).into_par_iter().map(head_output).collect();
    let mut out = Vec::with_capacity(positions * width);
    for position in 0..positions {
        by_head.iter().for_each(|head| out.extend_from_slice(&head[position * dim..(position + 1) * dim]));
    }
    Tensor::from_cpu(out, &[positions, width])
}
