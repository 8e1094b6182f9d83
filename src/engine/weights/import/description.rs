//! What the user says about a model whose shapes are not published.

use std::path::Path;

use serde::Deserialize;

use crate::domain::model::Capabilities;
use crate::engine::models::umt5::Umt5Config;
use crate::engine::models::vae::VaeConfig;
use crate::engine::models::wan::WanConfig;
use crate::engine::weights::{AttentionBlocks, WeightError};

/// A JSON object; what is left out is as published.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Description {
    pub(super) transformer: Option<WanConfig>,
    pub(super) vae: Option<VaeConfig>,
    pub(super) text_encoder: Option<Umt5Config>,
    pub(super) max_tokens: Option<usize>,
    pub(super) attention: Option<AttentionBlocks>,
    pub(super) capabilities: Option<Capabilities>,
}

impl Description {
    /// Nothing is described without a file.
    pub(super) fn read(path: Option<&Path>) -> Result<Self, WeightError> {
        let Some(path) = path else { return Ok(Self::default()) };
        let text = std::fs::read(path).map_err(WeightError::io(path))?;
        serde_json::from_slice(&text)
            .map_err(|error| WeightError::Manifest { path: path.to_owned(), reason: error.to_string() })
    }
}
