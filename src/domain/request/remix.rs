//! A request that starts from what an earlier job was: its effective parameters, except those given anew.

use super::VideoRequest;
use crate::domain::video::VideoSpec;

impl VideoRequest {
    /// The request that gives `spec` again.
    pub fn repeating(spec: &VideoSpec) -> Self {
        let adaptive = spec.adaptive_resolution == Some(true);
        Self {
            prompt: Some(spec.prompt.clone()),
            model: Some(spec.model.to_string()),
            size: None,
            resolution: Some(spec.resolution.as_str().to_owned()),
            aspect_ratio: spec.aspect_ratio.map(|ratio| ratio.as_str().to_owned()),
            adaptive_resolution: adaptive.then_some(true),
            image_fit: spec.image_fit.map(|fit| fit.as_str().to_owned()),
            seconds: None,
            num_frames: Some(i64::from(spec.frames.get())),
            num_steps: Some(i64::from(spec.steps.get())),
            seed: Some(i64::from(spec.seed)),
            sigma_max: Some(spec.sigma_max),
            ode: Some(spec.ode),
            boundary: spec.boundary,
            attention_type: Some(spec.attention.as_str().to_owned()),
            sla_topk: spec.sla_topk,
            quant_linear: Some(spec.quant_linear),
            normalize_prompt: Some(spec.normalize_prompt),
            ..Self::default()
        }
    }

    /// This request where `changes` says nothing; a change also drops what it excludes.
    #[must_use]
    pub fn changed_by(self, changes: Self) -> Self {
        let new_size = changes.size.is_some();
        let new_shape = new_size || changes.aspect_ratio.is_some();
        let new_length = changes.seconds.is_some() || changes.num_frames.is_some();
        let new_model = changes.model.is_some();
        let new_attention = new_model || changes.attention_type.is_some();
        let keep = |kept: bool| kept.then_some(());
        Self {
            prompt: changes.prompt.or(self.prompt),
            model: changes.model.or(self.model),
            size: changes.size,
            resolution: changes.resolution.or(keep(!new_size).and(self.resolution)),
            aspect_ratio: changes
                .aspect_ratio
                .or(keep(!new_size && changes.adaptive_resolution != Some(true)).and(self.aspect_ratio)),
            adaptive_resolution: changes
                .adaptive_resolution
                .or(keep(!new_shape).and(self.adaptive_resolution)),
            image_fit: changes.image_fit.or(self.image_fit),
            num_frames: changes.num_frames.or(keep(!new_length).and(self.num_frames)),
            seconds: changes.seconds,
            num_steps: changes.num_steps.or(self.num_steps),
            seed: changes.seed.or(self.seed),
            sigma_max: changes.sigma_max.or(self.sigma_max),
            ode: changes.ode.or(self.ode),
            boundary: changes.boundary.or(keep(!new_model).and(self.boundary)),
            sla_topk: changes.sla_topk.or(keep(!new_attention).and(self.sla_topk)),
            attention_type: changes.attention_type.or(keep(!new_model).and(self.attention_type)),
            quant_linear: changes.quant_linear.or(keep(!new_model).and(self.quant_linear)),
            normalize_prompt: changes.normalize_prompt.or(self.normalize_prompt),
            asset_ttl_seconds: changes.asset_ttl_seconds,
            callback_url: changes.callback_url,
            metadata: changes.metadata,
        }
    }
}
