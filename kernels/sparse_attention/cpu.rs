//! The definition.

use rayon::prelude::*;

use super::NAME;
use crate::cpu::{OnlineSoftmax, Rows};
use crate::sla_mask::BlockMap;
use crate::{Result, Tensor};

pub(super) fn sparse_attention(q: &Tensor, k: &Tensor, v: &Tensor, map: &BlockMap) -> Result<Tensor> {
    let [heads, query_blocks, count] = map.chosen.axes(NAME, "map")?;
    let [tokens, width] = q.axes(NAME, "q")?;
    let dim = width / heads;
    let chosen = map.chosen.to_u32()?;
    let (q, k, v) = (q.cpu(NAME)?, k.cpu(NAME)?, v.cpu(NAME)?);
    let rows = |values| Rows { values, stride: width };
    let (q, k, v) = (rows(&*q), rows(&*k), rows(&*v));
    let scale = 1.0 / (dim as f32).sqrt();

    let mut out = vec![0.0; tokens * width];
    out.par_chunks_mut(map.size.queries * width).enumerate().for_each(|(block, out)| {
        let first = block * map.size.queries;
        for head in 0..heads {
            let channel = head * dim;
            let mut softmax = OnlineSoftmax::new(out.len() / width, dim, scale);
            for &key_block in &chosen[(head * query_blocks + block) * count..][..count] {
                let key = key_block as usize * map.size.keys;
                let keys = map.size.keys.min(tokens - key);
                softmax.visit(q.at(first, channel), k.at(key, channel), v.at(key, channel), keys);
            }
            softmax.finish(&mut out[channel..], width);
        }
    });
    Tensor::from_cpu(out, &[tokens, width])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention::attention;
    use crate::sla_mask::{BlockSize, sla_mask};

    #[test]
    fn all_blocks_chosen_equal_dense_attention() {
        let (tokens, width) = (150, 16);
        let numbers = |seed: usize| {
            let data = (0..tokens * width).map(|i| ((i * 7919 + seed) % 1009) as f32 / 300.0 - 1.7).collect();
            Tensor::from_cpu(data, &[tokens, width]).unwrap()
        };
        let (q, k, v) = (numbers(1), numbers(2), numbers(3));
        let map = sla_mask(&q, &k, 2, BlockSize { queries: 64, keys: 32 }, 1.0).unwrap();
        let sparse = sparse_attention(&q, &k, &v, &map).unwrap().to_f32().unwrap();
        let dense = attention(&q, &k, &v, 2).unwrap().to_f32().unwrap();
        for (sparse, dense) in sparse.iter().zip(&dense) {
            assert!((sparse - dense).abs() < 1e-5);
        }
    }
}
