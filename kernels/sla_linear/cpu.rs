//! The definition.

use rayon::prelude::*;

use super::{NAME, SlaLinear};
use crate::cpu::{Gemm, Threads, for_each_row, softmax_row};
use crate::{Result, Tensor};

/// Upstream's floor of the denominator.
const FLOOR: f32 = 1e-5;

pub(super) fn sla_linear(branch: &SlaLinear) -> Result<Tensor> {
    let (dim, [tokens, width]) = (branch.bias.dim(0), branch.q.axes(NAME, "q")?);
    let heads = width / dim;
    let features = |x: &Tensor| -> Result<Vec<f32>> {
        let mut x = x.to_f32()?;
        for_each_row(&mut x, dim, |_, row| softmax_row(row));
        Ok(x)
    };
    let (q, k) = (features(branch.q)?, features(branch.k)?); // (tokens, heads · dim)
    let (v, weight, bias) = (branch.v.cpu(NAME)?, branch.weight.cpu(NAME)?, branch.bias.cpu(NAME)?);
    let (v, weight, bias): (&[f32], &[f32], &[f32]) = (&v, &weight, &bias);

    let head_output = |head: usize| {
        let (q, k, v) = (&q[head * dim..], &k[head * dim..], &v[head * dim..]);
        let product = |rows, depth, lhs, lhs_strides, rhs, rhs_strides| Gemm {
            size: (rows, dim, depth),
            lhs,
            lhs_strides,
            rhs,
            rhs_strides,
            out_row: dim,
            factor: 1.0,
            accumulate: false,
            threads: Threads::One,
        };
        let mut memory = vec![0.0; dim * dim]; // φ(k)ᵀ·v (channel, value)
        product(dim, tokens, k, (1, width), v, (width, 1)).run(&mut memory);
        let mut key_sum = vec![0.0; dim];
        for row in k.chunks(width) {
            key_sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
        let mut out = vec![0.0; tokens * dim];
        product(tokens, dim, q, (width, 1), &memory, (dim, 1)).run(&mut out);
        for (row, q) in out.chunks_exact_mut(dim).zip(q.chunks(width)) {
            let denominator = FLOOR + q.iter().zip(&key_sum).map(|(q, sum)| q * sum).sum::<f32>();
            row.iter_mut().for_each(|value| *value /= denominator);
        }
        let mut projected = vec![0.0; tokens * dim];
        product(tokens, dim, &out, (dim, 1), weight, (1, dim)).run(&mut projected);
        projected
    };
    let by_head: Vec<Vec<f32>> = (0..heads).into_par_iter().map(head_output).collect();
    let mut out = branch.sparse.to_f32()?;
    for_each_row(&mut out, width, |token, row| {
        for (head, row) in by_head.iter().zip(row.chunks_exact_mut(dim)) {
            let linear = &head[token * dim..(token + 1) * dim];
            row.iter_mut().zip(linear).zip(bias).for_each(|((out, linear), bias)| *out += linear + bias);
        }
    });
    Tensor::from_cpu(out, &[tokens, width])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zero_projection_leaves_the_sparse_branch() {
        let numbers = |seed: usize| {
            let data = (0..40 * 8).map(|i| ((i * 7919 + seed) % 1009) as f32 / 500.0 - 1.0).collect();
            Tensor::from_cpu(data, &[40, 8]).unwrap()
        };
        let (q, k, v, sparse) = (&numbers(1), &numbers(2), &numbers(3), &numbers(4));
        let weight = &Tensor::from_cpu(vec![0.0; 16], &[4, 4]).unwrap();
        let bias = &Tensor::from_cpu(vec![0.0; 4], &[4]).unwrap();
        let out = sla_linear(&SlaLinear { q, k, v, sparse, weight, bias }).unwrap();
        assert_eq!(out.to_f32().unwrap(), sparse.to_f32().unwrap());
    }

    #[test]
    fn equal_keys_give_the_mean_value_of_their_head() {
        let equal = &Tensor::from_cpu(vec![0.5; 10 * 4], &[10, 4]).unwrap();
        let v = &Tensor::from_cpu((0..40).map(|i| i as f32).collect(), &[10, 4]).unwrap();
        let sparse = &Tensor::from_cpu(vec![0.0; 40], &[10, 4]).unwrap();
        let weight = &Tensor::from_cpu(vec![1.0, 0.0, 0.0, 1.0], &[2, 2]).unwrap();
        let bias = &Tensor::from_cpu(vec![1.0, 0.0], &[2]).unwrap();
        let out = sla_linear(&SlaLinear { q: equal, k: equal, v, sparse, weight, bias }).unwrap();
        for (value, expected) in out.to_f32().unwrap().iter().zip([19.0, 19.0, 21.0, 21.0]) {
            assert!((value - expected).abs() < 1e-3, "{value} {expected}");
        }
    }
}
