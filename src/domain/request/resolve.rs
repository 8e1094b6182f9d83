//! The whole way from a request to a spec, in the order in which the contract lists the parameters.

use std::collections::BTreeMap;

use super::VideoRequest;
use super::attention::variant;
use super::catalog::{DeployedModel, ModelCatalog};
use super::extras;
use super::fault::{BadRequest, RequestFault};
use super::sampling::{low_noise_unused, sampling};
use super::shape::{adapted, shape, wanted_resolution};
use crate::domain::prompt::{effective_prompt, is_mostly_non_latin};
use crate::domain::size::Size;
use crate::domain::video::{ImageFit, Operation, VideoSpec};
use crate::domain::warning::{Warning, WarningCode};

/// The longest prompt, in Unicode scalar values.
const MAX_PROMPT_CHARS: usize = 32_000;

/// Sparsity under which pictures visibly suffer.
const LOW_TOPK: f64 = 0.1;

/// Relative change of shape by stretching that nobody notices.
const SLIGHT_STRETCH: f64 = 0.02;

/// Sides of the first frame's picture, upright, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceImage {
    pub width: u32,
    pub height: u32,
}

/// What a request is judged by besides itself.
pub struct Context<'a> {
    pub catalog: &'a ModelCatalog,
    /// Whether there is a picture for the first frame; without one it is a video from text.
    pub with_image: bool,
    /// Used where the request names no seed.
    pub fresh_seed: u32,
    /// Whether this server calls back.
    pub callbacks: bool,
}

/// A request that keeps all the rules.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    pub spec: VideoSpec,
    /// As the caller wrote it.
    pub requested_model: Option<String>,
    pub warnings: Vec<Warning>,
    pub asset_ttl_seconds: u32,
    pub callback_url: Option<String>,
    pub metadata: BTreeMap<String, String>,
}

/// A request that keeps all the rules that can be checked before its picture has been seen.
pub struct Checked<'a> {
    /// With the size that it has unless that is adaptive, and without warnings.
    accepted: Accepted,
    model: &'a DeployedModel,
}

/// Checks every parameter and fills in every default; the first fault in schema order is reported.
pub fn check<'a>(request: &VideoRequest, context: &Context<'a>) -> Result<Checked<'a>, BadRequest> {
    let with_image = context.with_image;
    let normalize_prompt = request.normalize_prompt.unwrap_or(true);
    let prompt = prompt(request)?;
    let effective_prompt = effective_prompt(prompt, normalize_prompt);
    if effective_prompt.is_empty() {
        return Err(BadRequest::value("prompt", "the prompt has no visible text"));
    }
    let model = context.catalog.choose(request.model.as_deref(), with_image, wanted_resolution(request))?;
    let capabilities = &model.capabilities;
    let shape = shape(request, capabilities, with_image)?;
    let sampling = sampling(request, capabilities, with_image)?;
    let variant = variant(request, model)?;
    let asset_ttl_seconds = extras::asset_ttl_seconds(request)?;
    let callback_url = extras::callback_url(request, context.callbacks)?;
    let metadata = extras::metadata(request)?;
    let spec = VideoSpec {
        model: model.id.clone(),
        operation: if with_image { Operation::ImageToVideo } else { Operation::TextToVideo },
        prompt: prompt.to_owned(),
        effective_prompt,
        size: shape.size,
        resolution: shape.resolution,
        aspect_ratio: shape.aspect_ratio,
        frames: sampling.frames,
        steps: sampling.steps,
        seed: sampling.seed.unwrap_or(context.fresh_seed),
        sigma_max: sampling.sigma_max,
        ode: sampling.ode,
        boundary: sampling.boundary,
        adaptive_resolution: shape.adaptive_resolution,
        image_fit: shape.image_fit,
        attention: variant.attention,
        sla_topk: variant.sla_topk,
        quant_linear: variant.quant_linear,
        normalize_prompt,
    };
    let (requested_model, warnings) = (request.model.clone(), Vec::new());
    let accepted = Accepted { spec, requested_model, warnings, asset_ttl_seconds, callback_url, metadata };
    Ok(Checked { accepted, model })
}

impl Checked<'_> {
    /// The request together with its picture, if it has one.
    pub fn with(self, image: Option<SourceImage>) -> Result<Accepted, BadRequest> {
        let Self { mut accepted, model } = self;
        let spec = &mut accepted.spec;
        if let Some(image) = image.filter(|_| spec.adaptive_resolution == Some(true)) {
            spec.size = adapted(spec.resolution, image)?;
        }
        accepted.warnings = warnings(&accepted.spec, model, image);
        Ok(accepted)
    }
}

fn prompt(request: &VideoRequest) -> Result<&str, BadRequest> {
    let Some(prompt) = &request.prompt else {
        return Err(BadRequest::new(RequestFault::Missing, "prompt", "`prompt` is required"));
    };
    if prompt.trim().is_empty() {
        return Err(BadRequest::value("prompt", "the prompt is blank"));
    }
    if prompt.chars().nth(MAX_PROMPT_CHARS).is_some() {
        let message = format!("the prompt has more than {MAX_PROMPT_CHARS} characters");
        return Err(BadRequest::new(RequestFault::TooLong, "prompt", message));
    }
    Ok(prompt)
}

fn warnings(spec: &VideoSpec, model: &DeployedModel, image: Option<SourceImage>) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut warn = |code, param: &str, message: String| {
        warnings.push(Warning { code, message, param: Some(param.to_owned()) });
    };
    if is_mostly_non_latin(&spec.prompt) {
        let message =
            "the prompt is mostly not in Latin script; English prompts are the best tested".to_owned();
        warn(WarningCode::PromptNotEnglish, "prompt", message);
    }
    let best = model.capabilities.best_resolution;
    if spec.resolution != best {
        let message = format!("this model is at its best at {}", best.as_str());
        warn(WarningCode::ResolutionNotBest, "resolution", message);
    }
    if spec.sla_topk.is_some_and(|topk| topk < LOW_TOPK) {
        let message = format!("`sla_topk` under {LOW_TOPK} costs visible quality");
        warn(WarningCode::SlaTopkLow, "sla_topk", message);
    }
    if spec.boundary.is_some_and(|boundary| low_noise_unused(spec.sigma_max, spec.steps, boundary)) {
        let message = "with these steps the low-noise expert never runs".to_owned();
        warn(WarningCode::LowNoiseModelUnused, "boundary", message);
    }
    let stretched = spec.image_fit == Some(ImageFit::Stretch);
    if image.is_some_and(|image| stretched && changes_aspect(image, spec.size)) {
        let message = "the picture is stretched out of its shape".to_owned();
        warn(WarningCode::AspectChanged, "image_fit", message);
    }
    warnings
}

fn changes_aspect(image: SourceImage, size: Size) -> bool {
    let before = f64::from(image.width) / f64::from(image.height);
    let after = f64::from(size.width()) / f64::from(size.height());
    (after / before - 1.0).abs() > SLIGHT_STRETCH
}
