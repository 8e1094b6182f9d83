//! The numbers of a text encoder, named as the checkpoints' authors name them.

use serde::{Deserialize, Serialize};

use crate::engine::models::narrow::{element, is_narrow};

/// Shape of a umT5 encoder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Umt5Config {
    pub vocab: usize,
    /// Width of the residual stream and of the embedding.
    pub dim: usize,
    /// Width of all attention heads together.
    pub dim_attn: usize,
    pub dim_ffn: usize,
    pub num_heads: usize,
    pub num_layers: usize,
    /// Buckets of relative positions.
    pub num_buckets: usize,
    /// Whether all layers share one position bias; the published models have one a layer.
    #[serde(default)]
    pub shared_pos: bool,
}

impl Umt5Config {
    /// Whether it computes in float32 on every device.
    pub fn is_narrow(&self) -> bool {
        is_narrow(self.dim)
    }

    /// Bytes of a number that it holds or computes in, where activations have `activation`.
    pub fn element(&self, activation: usize) -> usize {
        element(self.dim, activation)
    }

    /// The encoder of every published Wan model.
    pub fn xxl() -> Self {
        Self {
            vocab: 256_384,
            dim: 4096,
            dim_attn: 4096,
            dim_ffn: 10_240,
            num_heads: 64,
            num_layers: 24,
            num_buckets: 32,
            shared_pos: false,
        }
    }
}
