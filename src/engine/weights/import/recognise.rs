//! Which transformer a checkpoint is, told from names and shapes alone.

use std::collections::HashMap;

use crate::engine::models::wan::{LinearFormat, ModelType, PATCH, WanConfig};
use crate::engine::weights::WeightError;

/// What the shapes say. Heads and text length leave no trace in a file without sparse attention.
#[derive(Debug, PartialEq)]
pub(super) struct Recognised {
    pub(super) linear_format: LinearFormat,
    pub(super) sparse_linear: bool,
    dim: usize,
    in_dim: usize,
    num_layers: usize,
}

/// A published transformer.
struct Published {
    name: &'static str,
    config: WanConfig,
}

fn published() -> [Published; 3] {
    [
        Published { name: "Wan2.1-T2V-1.3B", config: WanConfig::t2v_1_3b() },
        Published { name: "Wan2.1-T2V-14B", config: WanConfig::t2v_14b() },
        Published { name: "Wan2.2-I2V-A14B", config: WanConfig::i2v_a14b() },
    ]
}

/// Reads the telling shapes.
pub(super) fn recognise(shapes: &HashMap<String, Vec<usize>>) -> Result<Recognised, WeightError> {
    let patch: usize = PATCH.iter().product();
    let quantised = shapes.contains_key("blocks.0.ffn.0.int8_weight");
    let name = "patch_embedding.weight";
    let [dim, patch_inputs] = match shapes.get(name).map(Vec::as_slice) {
        Some([dim, patch_inputs]) => [*dim, *patch_inputs],
        _ => return Err(WeightError::Missing { name: name.to_owned() }),
    };
    let layer_of = |name: &String| name.strip_prefix("blocks.")?.split('.').next()?.parse::<usize>().ok();
    Ok(Recognised {
        linear_format: if quantised { LinearFormat::Int8 } else { LinearFormat::Bf16 },
        sparse_linear: shapes.contains_key("blocks.0.self_attn.attn_op.local_attn.proj_l.weight"),
        dim,
        in_dim: patch_inputs / patch,
        num_layers: shapes.keys().filter_map(layer_of).max().map_or(0, |last| last.saturating_add(1)),
    })
}

impl Recognised {
    /// The published shapes that these are.
    pub(super) fn published(&self) -> Result<WanConfig, WeightError> {
        let same = |config: &WanConfig| {
            (config.dim, config.in_dim, config.num_layers) == (self.dim, self.in_dim, self.num_layers)
        };
        let found = published().into_iter().find(|candidate| same(&candidate.config));
        found.map(|candidate| candidate.config).ok_or_else(|| WeightError::UnknownArchitecture {
            found: format!(
                "{} transformer of width {} with {} layers",
                if self.in_dim == WanConfig::i2v_a14b().in_dim {
                    kind(ModelType::I2v)
                } else {
                    kind(ModelType::T2v)
                },
                self.dim,
                self.num_layers
            ),
            known: published().map(|candidate| candidate.name).to_vec(),
        })
    }
}

fn kind(model_type: ModelType) -> &'static str {
    match model_type {
        ModelType::T2v => "text-to-video",
        ModelType::I2v => "image-to-video",
    }
}
