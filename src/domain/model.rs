//! A model's name and what it can do. Limits and defaults of a request come from here, never from constants.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::size::{AspectRatio, Resolution, Size};
use super::video::{AttentionType, Operation};

/// The name of a deployed model, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String")]
pub struct ModelId(String);

impl ModelId {
    /// Model ids are compared without regard to case.
    pub fn new(name: &str) -> Self {
        Self(name.to_ascii_lowercase())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for ModelId {
    fn from(name: String) -> Self {
        Self::new(&name)
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// What a model can do, as its manifest says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Capabilities {
    pub operations: Vec<Operation>,
    pub best_resolution: Resolution,
    pub resolutions: Vec<Resolution>,
    pub aspect_ratios: Vec<AspectRatio>,
    pub default_num_steps: u32,
    pub default_num_frames: u32,
    pub min_frames: u32,
    pub max_frames: u32,
    /// Nominal lengths offered, as the wire writes them.
    pub seconds: Vec<String>,
    pub default_seconds: String,
    pub attention_types: Vec<AttentionType>,
    pub default_attention_type: AttentionType,
    pub default_sla_topk: f64,
    pub default_sigma_max: f64,
    /// `sigma_max` of image operations.
    pub default_image_sigma_max: f64,
    pub prompt_languages: Vec<String>,
    pub max_prompt_tokens: u32,
    /// Transformers that share the steps: 1, or 2 for a high-noise and a low-noise one.
    #[serde(default = "one_expert")]
    pub experts: u32,
    /// Whether the deterministic sampler is offered.
    #[serde(default = "offered")]
    pub ode: bool,
}

impl Capabilities {
    /// Every size offered, row by row.
    pub fn sizes(&self) -> impl Iterator<Item = Size> {
        let columns = &self.aspect_ratios;
        self.resolutions.iter().flat_map(move |row| columns.iter().map(move |column| row.size(*column)))
    }
}

fn one_expert() -> u32 {
    1
}

fn offered() -> bool {
    true
}
