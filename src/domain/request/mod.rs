//! A request for a video as it was typed, and how it becomes a [`VideoSpec`](super::video::VideoSpec) that cannot be wrong.
//! Knows the rules of every parameter; never the wire format, the seed's source or the clock.
//!
//! Read in this order: the request, the models to choose from, and the choices made.

mod attention;
mod catalog;
mod extras;
mod fault;
mod remix;
mod resolve;
mod sampling;
mod shape;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use catalog::{DeployedModel, ModelCatalog};
pub use extras::{DEFAULT_ASSET_TTL_SECONDS, MAX_URL_BYTES};
pub use fault::{BadRequest, RequestFault};
pub use resolve::{Accepted, Checked, Context, SourceImage, check};

/// Every parameter of a video, as typed: absent, or of the right JSON type and not yet checked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct VideoRequest {
    pub prompt: Option<String>,
    pub model: Option<String>,
    pub size: Option<String>,
    pub resolution: Option<String>,
    pub aspect_ratio: Option<String>,
    pub adaptive_resolution: Option<bool>,
    pub image_fit: Option<String>,
    /// Nominal length; a number given as such is written out.
    pub seconds: Option<String>,
    pub num_frames: Option<i64>,
    pub num_steps: Option<i64>,
    pub seed: Option<i64>,
    pub sigma_max: Option<f64>,
    pub ode: Option<bool>,
    pub boundary: Option<f64>,
    pub attention_type: Option<String>,
    pub sla_topk: Option<f64>,
    pub quant_linear: Option<bool>,
    pub normalize_prompt: Option<bool>,
    pub asset_ttl_seconds: Option<i64>,
    pub callback_url: Option<String>,
    pub metadata: Option<BTreeMap<String, String>>,
}
