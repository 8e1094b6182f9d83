//! The definition.

use rayon::prelude::*;

use super::{BlockMap, BlockSize, NAME, chosen_count};
use crate::cpu::{Gemm, Threads};
use crate::{Device, Result, Tensor};

pub(super) fn sla_mask(
    q: &Tensor,
    k: &Tensor,
    heads: usize,
    size: BlockSize,
    ratio: f64,
) -> Result<BlockMap> {
    let width = q.dim(1);
    let (q, mut k) = (q.cpu(NAME)?, k.to_f32()?);
    centre(&mut k, width);
    let (q, k) = (pool(&q, width, size.queries), pool(&k, width, size.keys)); // (blocks, d)
    let (query_blocks, key_blocks) = (q.len() / width, k.len() / width);
    let count = chosen_count(ratio, key_blocks);

    let choose = |head: usize| {
        let mut scores = vec![0.0; query_blocks * key_blocks];
        Gemm {
            size: (query_blocks, key_blocks, width / heads),
            lhs: &q[head * width / heads..],
            lhs_strides: (width, 1),
            rhs: &k[head * width / heads..],
            rhs_strides: (1, width),
            out_row: key_blocks,
            factor: 1.0,
            accumulate: false,
            threads: Threads::One,
        }
        .run(&mut scores);
        scores.chunks_exact(key_blocks).flat_map(|scores| best(scores, count)).collect::<Vec<u32>>()
    };
    let chosen: Vec<u32> = (0..heads).into_par_iter().flat_map_iter(choose).collect();
    let chosen = Tensor::from_u32(chosen, &[heads, query_blocks, count], &Device::Cpu)?;
    Ok(BlockMap { chosen, size })
}

/// Subtracts every channel's mean over all tokens.
fn centre(k: &mut [f32], width: usize) {
    let mut mean = vec![0.0f64; width];
    for row in k.chunks_exact(width) {
        mean.iter_mut().zip(row).for_each(|(mean, value)| *mean += f64::from(*value));
    }
    let tokens = (k.len() / width) as f64;
    for row in k.chunks_exact_mut(width) {
        row.iter_mut().zip(&mean).for_each(|(value, mean)| *value -= (mean / tokens) as f32);
    }
}

/// The mean of every `block` rows; the last block may be shorter.
fn pool(x: &[f32], width: usize, block: usize) -> Vec<f32> {
    let mut pooled = Vec::with_capacity(x.len().div_ceil(block));
    for rows in x.chunks(block * width) {
        let mut sum = vec![0.0f32; width];
        for row in rows.chunks_exact(width) {
            sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
        let tokens = (rows.len() / width) as f32;
        pooled.extend(sum.iter().map(|sum| sum / tokens));
    }
    pooled
}

/// The indices of the `count` largest scores, ascending.
fn best(scores: &[f32], count: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..scores.len() as u32).collect();
    order.sort_by(|&a, &b| scores[b as usize].total_cmp(&scores[a as usize]));
    order.truncate(count);
    order.sort_unstable();
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_added_to_every_key_does_not_change_the_choice() {
        let (tokens, width) = (150, 16);
        let numbers = |seed: usize| -> Vec<f32> {
            (0..tokens * width).map(|i| ((i * 7919 + seed) % 1009) as f32 / 1009.0 - 0.5).collect()
        };
        let tensor = |data: Vec<f32>| Tensor::from_cpu(data, &[tokens, width]).unwrap();
        let shifted =
            numbers(2).into_iter().enumerate().map(|(i, v)| v + (i % width) as f32 * 0.25).collect();
        let size = BlockSize { queries: 32, keys: 16 };
        let q = tensor(numbers(1));
        let choose = |k: &Tensor| sla_mask(&q, k, 2, size, 0.35).unwrap().chosen.to_u32().unwrap();
        let chosen = choose(&tensor(numbers(2)));
        assert_eq!(chosen.len(), 2 * 5 * 3);
        assert_eq!(chosen, choose(&tensor(shifted)));
    }
}
