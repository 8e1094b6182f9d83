//! The numbers of a transformer, named as the checkpoints' authors name them.

use serde::{Deserialize, Serialize};

use crate::engine::models::narrow::{element, is_narrow};

/// Pixels of the latent that one token covers: time, height, width.
pub const PATCH: [usize; 3] = [1, 2, 2];

/// Latent channels of the video itself, which is what the sampler moves.
pub const LATENT_CHANNELS: usize = 16;

/// Channels of the mask that says which latent frames are given.
pub const MASK_CHANNELS: usize = 4;

/// What a transformer is conditioned on besides the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelType {
    T2v,
    /// Takes mask and picture latent as extra channels.
    I2v,
}

/// Shape of a transformer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WanConfig {
    /// Width of the residual stream.
    pub dim: usize,
    pub ffn_dim: usize,
    pub num_heads: usize,
    pub num_layers: usize,
    pub model_type: ModelType,
    /// Channels that go in: 16, or 36 with mask and picture latent.
    pub in_dim: usize,
    pub out_dim: usize,
    /// Width of the sinusoidal time embedding.
    pub freq_dim: usize,
    /// Rows of text that cross-attention sees, padding included.
    pub text_len: usize,
    pub text_dim: usize,
    pub eps: f64,
}

impl WanConfig {
    /// Wan2.1-T2V-1.3B.
    pub fn t2v_1_3b() -> Self {
        Self { dim: 1536, ffn_dim: 8960, num_heads: 12, num_layers: 30, ..Self::t2v_14b() }
    }

    /// Wan2.1-T2V-14B.
    pub fn t2v_14b() -> Self {
        Self {
            dim: 5120,
            ffn_dim: 13_824,
            num_heads: 40,
            num_layers: 40,
            model_type: ModelType::T2v,
            in_dim: LATENT_CHANNELS,
            out_dim: LATENT_CHANNELS,
            freq_dim: 256,
            text_len: 512,
            text_dim: 4096,
            eps: 1e-6,
        }
    }

    /// Either expert of Wan2.2-I2V-A14B.
    pub fn i2v_a14b() -> Self {
        Self { model_type: ModelType::I2v, in_dim: 2 * LATENT_CHANNELS + MASK_CHANNELS, ..Self::t2v_14b() }
    }

    /// Channels that go in and come out, as the kind of model asks for.
    pub fn channels(&self) -> [usize; 2] {
        let inputs = match self.model_type {
            ModelType::T2v => LATENT_CHANNELS,
            ModelType::I2v => 2 * LATENT_CHANNELS + MASK_CHANNELS,
        };
        [inputs, LATENT_CHANNELS]
    }

    /// Whether its stream, plain layers and dense attention are float32 on every device.
    pub fn is_narrow(&self) -> bool {
        is_narrow(self.dim)
    }

    /// Bytes of a number of the stream and of plain layers, where activations have `activation`.
    pub fn element(&self, activation: usize) -> usize {
        element(self.dim, activation)
    }

    /// Channels of one attention head.
    pub fn head_dim(&self) -> usize {
        self.dim / self.num_heads
    }
}
