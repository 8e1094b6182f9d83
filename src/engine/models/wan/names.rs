//! Every tensor of a transformer under its published name.

use serde::{Deserialize, Serialize};

use super::WanConfig;
use super::config::PATCH;
use crate::engine::models::{ExpectedTensor, TensorKind};

/// How the linear layers of the blocks are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinearFormat {
    Bf16,
    /// int8 values with a factor for each block of 128×128.
    Int8,
}

/// What a checkpoint of this shape holds. `sparse_linear` adds the projections of the linear attention branch,
/// which the distilled models have and the original ones do not.
pub fn expected_tensors(
    config: &WanConfig,
    format: LinearFormat,
    sparse_linear: bool,
) -> Vec<ExpectedTensor> {
    let WanConfig { dim, ffn_dim, .. } = *config;
    let patch: usize = PATCH.iter().product();
    let mut tensors = List { format, tensors: Vec::new() };

    tensors.plain("patch_embedding", patch * config.in_dim, dim);
    tensors.plain("text_embedding.0", config.text_dim, dim);
    tensors.plain("text_embedding.2", dim, dim);
    tensors.plain("time_embedding.0", config.freq_dim, dim);
    tensors.plain("time_embedding.2", dim, dim);
    tensors.plain("time_projection.1", dim, 6 * dim);
    for layer in 0..config.num_layers {
        let block = format!("blocks.{layer}");
        tensors.add(format!("{block}.modulation"), &[1, 6, dim], TensorKind::Weight);
        for attention in ["self_attn", "cross_attn"] {
            for part in ["q", "k", "v", "o"] {
                tensors.quantisable(&format!("{block}.{attention}.{part}"), dim, dim);
            }
            for norm in ["norm_q", "norm_k"] {
                tensors.add(format!("{block}.{attention}.{norm}.weight"), &[dim], TensorKind::Norm);
            }
        }
        if sparse_linear {
            let projection = format!("{block}.self_attn.attn_op.local_attn.proj_l");
            tensors.plain(&projection, config.head_dim(), config.head_dim());
        }
        tensors.add(format!("{block}.norm3.weight"), &[dim], TensorKind::Norm);
        tensors.add(format!("{block}.norm3.bias"), &[dim], TensorKind::Bias);
        tensors.quantisable(&format!("{block}.ffn.0"), dim, ffn_dim);
        tensors.quantisable(&format!("{block}.ffn.2"), ffn_dim, dim);
    }
    tensors.add("head.modulation".into(), &[1, 2, dim], TensorKind::Weight);
    tensors.plain("head.head", dim, patch * config.out_dim);
    tensors.tensors
}

struct List {
    format: LinearFormat,
    tensors: Vec<ExpectedTensor>,
}

impl List {
    fn add(&mut self, name: String, shape: &[usize], kind: TensorKind) {
        self.tensors.push(ExpectedTensor::new(name, shape, kind));
    }

    fn plain(&mut self, layer: &str, inputs: usize, outputs: usize) {
        self.add(format!("{layer}.weight"), &[outputs, inputs], TensorKind::Weight);
        self.add(format!("{layer}.bias"), &[outputs], TensorKind::Bias);
    }

    fn quantisable(&mut self, layer: &str, inputs: usize, outputs: usize) {
        match self.format {
            LinearFormat::Bf16 => self.plain(layer, inputs, outputs),
            LinearFormat::Int8 => {
                let blocks = [outputs.div_ceil(128), inputs.div_ceil(128)];
                self.add(format!("{layer}.int8_weight"), &[outputs, inputs], TensorKind::Int8);
                self.add(format!("{layer}.scale"), &blocks, TensorKind::Scale);
                self.add(format!("{layer}.bias"), &[outputs], TensorKind::Bias);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_those_of_the_published_files() {
        let cases = [
            (WanConfig::t2v_1_3b(), 885, 1185, 1_419_492_160),
            (WanConfig::t2v_14b(), 1175, 1575, 14_289_152_064),
            (WanConfig::i2v_a14b(), 1175, 1575, 14_289_561_664),
        ];
        for (config, plain, quantised, parameters) in cases {
            let tensors = expected_tensors(&config, LinearFormat::Bf16, true);
            assert_eq!(tensors.len(), plain);
            assert_eq!(tensors.iter().map(ExpectedTensor::count).sum::<usize>(), parameters);
            assert_eq!(expected_tensors(&config, LinearFormat::Int8, true).len(), quantised);
        }
    }
}
