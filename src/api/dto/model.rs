//! A deployed model and what it can do, as clients read it.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::request::DeployedModel;
use crate::domain::video::{FRAMES_PER_SECOND, MAX_STEPS, Operation};

/// Measured facts of a model on this installation.
#[derive(Debug, Clone, Default)]
pub(crate) struct Measured {
    /// Peak device memory in bytes, per value of `quant_linear`.
    pub(crate) min_vram_bytes: BTreeMap<String, u64>,
    /// Median seconds, per `resolution/steps`.
    pub(crate) typical_seconds: BTreeMap<String, f64>,
}

/// A model.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Model)]
pub(crate) struct ModelObject {
    #[schema(example = "wan-tiny")]
    id: String,
    #[schema(value_type = String, pattern = "^model$", example = "model")]
    object: &'static str,
    /// Unix seconds.
    created: i64,
    owned_by: String,
    #[schema(required, value_type = Option<String>)]
    shutdown_date: Option<String>,
    capabilities: CapabilitiesObject,
}

/// Every model that can be used now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ModelList {
    #[schema(value_type = String, pattern = "^list$", example = "list")]
    pub(crate) object: &'static str,
    pub(crate) data: Vec<ModelObject>,
}

/// What a model can do.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Capabilities)]
struct CapabilitiesObject {
    #[schema(value_type = Vec<String>)]
    operations: Vec<&'static str>,
    best_resolution: &'static str,
    #[schema(value_type = Vec<String>)]
    resolutions: Vec<&'static str>,
    #[schema(value_type = Vec<String>)]
    aspect_ratios: Vec<&'static str>,
    sizes: Vec<String>,
    num_steps: Vec<u32>,
    default_num_steps: u32,
    fps: u32,
    min_frames: u32,
    max_frames: u32,
    default_num_frames: u32,
    seconds: Vec<String>,
    default_seconds: String,
    ode: bool,
    boundary: bool,
    adaptive_resolution: bool,
    characters: bool,
    #[schema(value_type = Vec<String>)]
    attention_types: Vec<&'static str>,
    #[schema(value_type = String)]
    default_attention_type: &'static str,
    default_sla_topk: f64,
    default_sigma_max: f64,
    /// Deployed number formats; true is int8 linear layers.
    quant_linear: Vec<bool>,
    experts: u32,
    /// Measured here, in bytes, per value of `quant_linear`; empty before the first job on a GPU.
    min_vram_bytes: BTreeMap<String, u64>,
    /// Median of the last jobs here, per `resolution/steps`; empty before the first job.
    typical_seconds: BTreeMap<String, f64>,
    prompt_languages: Vec<String>,
    max_prompt_tokens: u32,
}

impl ModelObject {
    pub(crate) fn new(model: &DeployedModel, measured: Measured) -> Self {
        let able = &model.capabilities;
        let with_image = able.operations.contains(&Operation::ImageToVideo);
        let with_text = able.operations.contains(&Operation::TextToVideo);
        Self {
            id: model.id.to_string(),
            object: "model",
            created: model.created,
            owned_by: model.owned_by.clone(),
            shutdown_date: None,
            capabilities: CapabilitiesObject {
                operations: able.operations.iter().map(|operation| operation.as_str()).collect(),
                best_resolution: able.best_resolution.as_str(),
                resolutions: able.resolutions.iter().map(|row| row.as_str()).collect(),
                aspect_ratios: able.aspect_ratios.iter().map(|column| column.as_str()).collect(),
                sizes: able.sizes().map(|size| size.to_string()).collect(),
                num_steps: (1..=MAX_STEPS).collect(),
                default_num_steps: able.default_num_steps,
                fps: FRAMES_PER_SECOND,
                min_frames: able.min_frames,
                max_frames: able.max_frames,
                default_num_frames: able.default_num_frames,
                seconds: able.seconds.clone(),
                default_seconds: able.default_seconds.clone(),
                ode: able.ode,
                boundary: with_image && able.experts > 1,
                adaptive_resolution: with_image,
                characters: false,
                attention_types: able.attention_types.iter().map(|kind| kind.as_str()).collect(),
                default_attention_type: able.default_attention_type.as_str(),
                default_sla_topk: able.default_sla_topk,
                default_sigma_max: if with_text {
                    able.default_sigma_max
                } else {
                    able.default_image_sigma_max
                },
                quant_linear: model.quant_linear.clone(),
                experts: able.experts,
                min_vram_bytes: measured.min_vram_bytes,
                typical_seconds: measured.typical_seconds,
                prompt_languages: able.prompt_languages.clone(),
                max_prompt_tokens: able.max_prompt_tokens,
            },
        }
    }
}
