//! How long the video is and how it is sampled: frames, steps, seed, noise levels.

use super::VideoRequest;
use super::fault::BadRequest;
use crate::domain::model::Capabilities;
use crate::domain::video::{FRAMES_PER_SECOND, FrameCount, MAX_STEPS, StepCount};

/// Noise levels of the distilled sampler after the first, as angles.
const LATER_ANGLES: [f64; 3] = [1.5, 1.4, 1.0];

/// Where the reference hands over to the low-noise expert.
const DEFAULT_BOUNDARY: f64 = 0.9;

/// What is left to choose once size and model are known.
pub(super) struct Sampling {
    pub(super) frames: FrameCount,
    pub(super) steps: StepCount,
    /// As asked for; absent: to be drawn.
    pub(super) seed: Option<u32>,
    pub(super) sigma_max: f64,
    pub(super) ode: bool,
    /// `None` with one expert.
    pub(super) boundary: Option<f64>,
}

/// Applies the rules of `seconds`, `num_frames`, `num_steps`, `seed`, `sigma_max`, `ode` and `boundary`.
pub(super) fn sampling(
    request: &VideoRequest,
    capabilities: &Capabilities,
    with_image: bool,
) -> Result<Sampling, BadRequest> {
    Ok(Sampling {
        frames: frames(request, capabilities)?,
        steps: steps(request, capabilities)?,
        seed: seed(request)?,
        sigma_max: sigma_max(request, capabilities, with_image)?,
        ode: ode(request, capabilities, with_image)?,
        boundary: boundary(request, capabilities, with_image)?,
    })
}

/// Whether every noise level stays at or above `boundary`, so that the low-noise expert never runs.
pub(super) fn low_noise_unused(sigma_max: f64, steps: StepCount, boundary: f64) -> bool {
    let later = LATER_ANGLES.iter().take(steps.get() as usize - 1).map(|angle| angle.tan());
    let mut levels = std::iter::once(sigma_max).chain(later).map(|sigma| sigma / (1.0 + sigma));
    levels.all(|level| level >= boundary)
}

fn frames(request: &VideoRequest, capabilities: &Capabilities) -> Result<FrameCount, BadRequest> {
    let wrong = |param: &str, message: String| BadRequest::value(param, message);
    let seconds = request.seconds.as_ref().map(|seconds| frames_of(seconds, capabilities)).transpose()?;
    let (param, frames) = match (seconds, request.num_frames) {
        (Some(_), Some(_)) => {
            return Err(wrong("num_frames", "give either `seconds` or `num_frames`".to_owned()));
        }
        (Some(frames), None) => ("seconds", i64::from(frames)),
        (None, Some(frames)) => ("num_frames", frames),
        (None, None) => ("num_frames", i64::from(capabilities.default_num_frames)),
    };
    let (least, most) = (capabilities.min_frames, capabilities.max_frames);
    let range = i64::from(least)..=i64::from(most);
    let count = range.contains(&frames).then(|| FrameCount::new(frames as u32).ok()).flatten();
    count.ok_or_else(|| {
        wrong(param, format!("the number of frames must be 4k + 1 from {least} to {most}, not {frames}"))
    })
}

fn frames_of(seconds: &str, capabilities: &Capabilities) -> Result<u32, BadRequest> {
    let offered = capabilities.seconds.iter().any(|offer| offer == seconds);
    let length = seconds.parse::<f64>().ok().filter(|_| offered);
    length.map(|length| (length * f64::from(FRAMES_PER_SECOND)).round() as u32 + 1).ok_or_else(|| {
        let offers =
            capabilities.seconds.iter().map(|text| format!("\"{text}\"")).collect::<Vec<_>>().join(", ");
        BadRequest::value("seconds", format!("the length must be one of {offers}"))
    })
}

fn steps(request: &VideoRequest, capabilities: &Capabilities) -> Result<StepCount, BadRequest> {
    let steps = request.num_steps.unwrap_or(i64::from(capabilities.default_num_steps));
    let count = u32::try_from(steps).ok().and_then(|steps| StepCount::new(steps).ok());
    count.ok_or_else(|| {
        BadRequest::value("num_steps", format!("the number of steps must be 1 to {MAX_STEPS}, not {steps}"))
    })
}

fn seed(request: &VideoRequest) -> Result<Option<u32>, BadRequest> {
    let checked = request.seed.map(|seed| u32::try_from(seed).map_err(|_| seed)).transpose();
    checked
        .map_err(|seed| BadRequest::value("seed", format!("the seed must be 0 to {}, not {seed}", u32::MAX)))
}

fn sigma_max(
    request: &VideoRequest,
    capabilities: &Capabilities,
    with_image: bool,
) -> Result<f64, BadRequest> {
    let default =
        if with_image { capabilities.default_image_sigma_max } else { capabilities.default_sigma_max };
    let sigma = request.sigma_max.unwrap_or(default);
    if (1.0..=10_000.0).contains(&sigma) {
        return Ok(sigma);
    }
    Err(BadRequest::value("sigma_max", format!("the largest noise level must be 1 to 10000, not {sigma}")))
}

fn ode(request: &VideoRequest, capabilities: &Capabilities, with_image: bool) -> Result<bool, BadRequest> {
    match request.ode {
        Some(true) if !capabilities.ode => {
            Err(BadRequest::unsupported("ode", "this model has no deterministic sampler"))
        }
        Some(wanted) => Ok(wanted),
        None => Ok(with_image && capabilities.ode),
    }
}

fn boundary(
    request: &VideoRequest,
    capabilities: &Capabilities,
    with_image: bool,
) -> Result<Option<f64>, BadRequest> {
    let applies = with_image && capabilities.experts > 1;
    match request.boundary {
        Some(_) if !with_image => Err(BadRequest::unsupported(
            "boundary",
            "`boundary` needs a picture; this makes a video from text",
        )),
        Some(_) if !applies => {
            Err(BadRequest::unsupported("boundary", "this model has one expert, so there is no boundary"))
        }
        Some(level) if level > 0.0 && level < 1.0 => Ok(Some(level)),
        Some(level) => {
            Err(BadRequest::value("boundary", format!("the boundary must lie between 0 and 1, not {level}")))
        }
        None => Ok(applies.then_some(DEFAULT_BOUNDARY)),
    }
}
