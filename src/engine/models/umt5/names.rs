//! Every tensor of a text encoder under its published name.

use super::Umt5Config;
use crate::engine::models::{ExpectedTensor, TensorKind};

/// What a checkpoint of this shape holds.
pub fn expected_tensors(config: &Umt5Config) -> Vec<ExpectedTensor> {
    let Umt5Config { vocab, dim, dim_attn, dim_ffn, num_heads, num_buckets, .. } = *config;
    let weight = |name: String, shape: &[usize]| ExpectedTensor::new(name, shape, TensorKind::Weight);
    let norm = |name: String| ExpectedTensor::new(name, &[dim], TensorKind::Norm);
    let position =
        |prefix: &str| weight(format!("{prefix}pos_embedding.embedding.weight"), &[num_buckets, num_heads]);

    let mut tensors = vec![weight("token_embedding.weight".into(), &[vocab, dim])];
    if config.shared_pos {
        tensors.push(position(""));
    }
    for layer in 0..config.num_layers {
        let block = format!("blocks.{layer}.");
        tensors.push(norm(format!("{block}norm1.weight")));
        for part in ["q", "k", "v"] {
            tensors.push(weight(format!("{block}attn.{part}.weight"), &[dim_attn, dim]));
        }
        tensors.push(weight(format!("{block}attn.o.weight"), &[dim, dim_attn]));
        tensors.push(norm(format!("{block}norm2.weight")));
        tensors.push(weight(format!("{block}ffn.gate.0.weight"), &[dim_ffn, dim]));
        tensors.push(weight(format!("{block}ffn.fc1.weight"), &[dim_ffn, dim]));
        tensors.push(weight(format!("{block}ffn.fc2.weight"), &[dim, dim_ffn]));
        if !config.shared_pos {
            tensors.push(position(&block));
        }
    }
    tensors.push(norm("norm.weight".into()));
    tensors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_those_of_the_published_file() {
        let tensors = expected_tensors(&Umt5Config::xxl());
        assert_eq!(tensors.len(), 242);
        assert_eq!(tensors.iter().map(ExpectedTensor::count).sum::<usize>(), 5_680_910_336);
    }
}
