//! The definition, by blocks of queries and keys.

use super::NAME;
use crate::cpu::{Rows, attend};
use crate::{Result, Tensor};

pub(super) fn attention(q: &Tensor, k: &Tensor, v: &Tensor, heads: usize) -> Result<Tensor> {
    let [queries, width] = q.axes(NAME, "q")?;
    let (q, keys) = (q.cpu(NAME)?, k.dim(0));
    let (k, v) = (k.cpu(NAME)?, v.cpu(NAME)?);
    let mut out = vec![0.0; queries * width];
    let rows = |values| Rows { values, stride: width };
    attend(rows(&q), rows(&k), rows(&v), keys, heads, width / heads, &mut out);
    Tensor::from_cpu(out, &[queries, width])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_equal_the_plain_formula() {
        // More queries and keys than a block, and not a multiple of it.
        let (queries, keys, heads, dim) = (150, 530, 2, 4);
        let numbers = |count: usize, seed: usize| -> Vec<f32> {
            (0..count).map(|i| (((i * 7919 + seed) % 1009) as f32 / 1009.0 - 0.5) * 4.0).collect()
        };
        let width = heads * dim;
        let (q, k, v) = (numbers(queries * width, 1), numbers(keys * width, 2), numbers(keys * width, 3));
        let tensor = |data: &[f32], rows| Tensor::from_cpu(data.to_vec(), &[rows, width]).unwrap();
        let out = attention(&tensor(&q, queries), &tensor(&k, keys), &tensor(&v, keys), heads).unwrap();
        let out = out.to_f32().unwrap();
        for query in [0, 127, 128, 149] {
            for head in 0..heads {
                let at = |row: usize| row * width + head * dim..row * width + (head + 1) * dim;
                let weights: Vec<f64> = (0..keys)
                    .map(|key| {
                        let dot: f32 = q[at(query)].iter().zip(&k[at(key)]).map(|(a, b)| a * b).sum();
                        f64::from(dot / (dim as f32).sqrt()).exp()
                    })
                    .collect();
                let sum: f64 = weights.iter().sum();
                for channel in 0..dim {
                    let expected: f64 =
                        (0..keys).map(|key| weights[key] * f64::from(v[at(key)][channel])).sum::<f64>() / sum;
                    assert!((f64::from(out[at(query)][channel]) - expected).abs() < 1e-5);
                }
            }
        }
    }
}
