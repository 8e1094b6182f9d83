//! The shapes of a whole model: transformer, autoencoder, text encoder and block sizes; and those of the published ones.

use serde::{Deserialize, Serialize};

use crate::domain::model::Capabilities;
use crate::domain::size::{AspectRatio, Resolution};
use crate::domain::video::{AttentionType, Operation};
use crate::engine::models::ExpectedTensor;
use crate::engine::models::umt5::{self, Umt5Config};
use crate::engine::models::vae::{self, VaeConfig};
use crate::engine::models::wan::{self, LinearFormat, ModelType, WanConfig};

/// Which transformer of a model works at a noise level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Expert {
    /// Above the boundary; also the only one of a model that has one.
    High,
    Low,
}

/// Tokens that attention selects together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttentionBlocks {
    /// Rows of queries.
    pub block_q: usize,
    /// Rows of keys.
    pub block_k: usize,
}

/// Every shape of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Architecture {
    pub transformer: WanConfig,
    /// Transformers that share the steps, in order of noise.
    pub experts: Vec<Expert>,
    pub linear_format: LinearFormat,
    /// Whether the transformers have the projections of the linear attention branch.
    pub sparse_linear: bool,
    pub vae: VaeConfig,
    pub text_encoder: Umt5Config,
    /// Tokens that the encoder reads, padding included.
    pub max_tokens: usize,
    pub attention: AttentionBlocks,
}

/// What the published text encoder reads.
pub const PUBLISHED_MAX_TOKENS: usize = 512;

/// The blocks that the published models were distilled with.
pub const PUBLISHED_BLOCKS: AttentionBlocks = AttentionBlocks { block_q: 128, block_k: 64 };

impl Architecture {
    /// What each transformer's file holds.
    pub fn transformer_tensors(&self) -> Vec<ExpectedTensor> {
        wan::expected_tensors(&self.transformer, self.linear_format, self.sparse_linear)
    }

    /// What the autoencoder's file holds.
    pub fn vae_tensors(&self) -> Vec<ExpectedTensor> {
        vae::expected_tensors(&self.vae)
    }

    /// What the text encoder's file holds.
    pub fn text_encoder_tensors(&self) -> Vec<ExpectedTensor> {
        umt5::expected_tensors(&self.text_encoder)
    }

    /// Why the parts do not fit one another, if they do not.
    pub fn problem(&self) -> Option<String> {
        let Self { transformer, vae, text_encoder, attention, .. } = self;
        let heads_fit = |width: usize, heads: usize| heads > 0 && width > 0 && width.is_multiple_of(heads);
        if !heads_fit(transformer.dim, transformer.num_heads) {
            return Some("the transformer's dim must be a multiple of num_heads".into());
        }
        if !heads_fit(text_encoder.dim_attn, text_encoder.num_heads) {
            return Some("the text encoder's dim_attn must be a multiple of num_heads".into());
        }
        if transformer.text_dim != text_encoder.dim || transformer.text_len != self.max_tokens {
            return Some(
                "the transformer's text_dim and text_len must be the text encoder's dim and max_tokens"
                    .into(),
            );
        }
        let [inputs, latent] = transformer.channels();
        if transformer.in_dim != inputs || transformer.out_dim != latent || vae.z_dim != latent {
            let kind = transformer.model_type;
            return Some(format!(
                "a {kind:?} transformer has an in_dim of {inputs} and an out_dim of {latent}, the autoencoder's z_dim"
            ));
        }
        if transformer.num_layers == 0
            || transformer.freq_dim < 2
            || !transformer.head_dim().is_multiple_of(2)
        {
            return Some("the transformer needs layers, time frequencies and heads of an even width".into());
        }
        if text_encoder.num_buckets < 4 {
            return Some("the text encoder needs at least four num_buckets".into());
        }
        if attention.block_q == 0 || attention.block_k == 0 {
            return Some("attention blocks must not be empty".into());
        }
        vae.problem()
    }

    /// The experts of a model with so many transformers.
    pub(super) fn experts_of(transformers: usize) -> Vec<Expert> {
        [Expert::High, Expert::Low].into_iter().take(transformers).collect()
    }

    /// A distilled model around a published transformer.
    pub fn published(transformer: WanConfig, linear_format: LinearFormat) -> Self {
        let experts = match transformer.model_type {
            ModelType::T2v => Self::experts_of(1),
            ModelType::I2v => Self::experts_of(2),
        };
        Self {
            transformer,
            experts,
            linear_format,
            sparse_linear: true,
            vae: VaeConfig::wan21(),
            text_encoder: Umt5Config::xxl(),
            max_tokens: PUBLISHED_MAX_TOKENS,
            attention: PUBLISHED_BLOCKS,
        }
    }
}

/// What a distilled model of published size can do; `best` is in its name.
pub fn published_capabilities(model_type: ModelType, best: Resolution) -> Capabilities {
    let (operation, experts, sigma_max) = match model_type {
        ModelType::T2v => (Operation::TextToVideo, 1, 80.0),
        ModelType::I2v => (Operation::ImageToVideo, 2, 200.0),
    };
    Capabilities {
        operations: vec![operation],
        best_resolution: best,
        resolutions: vec![Resolution::P480, Resolution::P720],
        aspect_ratios: AspectRatio::ALL.to_vec(),
        default_num_steps: 4,
        default_num_frames: 81,
        min_frames: 17,
        max_frames: 81,
        seconds: ["1", "2", "3", "4", "5"].map(str::to_owned).to_vec(),
        default_seconds: "5".to_owned(),
        attention_types: vec![AttentionType::SageSla, AttentionType::Sla, AttentionType::Original],
        default_attention_type: AttentionType::SageSla,
        default_sla_topk: 0.1,
        default_sigma_max: sigma_max,
        default_image_sigma_max: 200.0,
        prompt_languages: vec!["en".to_owned(), "zh".to_owned()],
        max_prompt_tokens: PUBLISHED_MAX_TOKENS as u32,
        experts,
        ode: true,
    }
}
