//! What a job is to make: every parameter after defaulting, checked once and never changed again.

use serde::{Deserialize, Serialize};

use super::model::ModelId;
use super::size::{AspectRatio, Resolution, Size};

/// Frames a second; the models know no other rate.
pub const FRAMES_PER_SECOND: u32 = 16;

/// Frames that one latent frame after the first stands for.
pub const FRAMES_PER_LATENT: u32 = 4;

/// The most steps that the distilled models are trained for.
pub const MAX_STEPS: u32 = 4;

/// What kind of job it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    TextToVideo,
    ImageToVideo,
    Remix,
}

impl Operation {
    /// As written on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TextToVideo => "text_to_video",
            Self::ImageToVideo => "image_to_video",
            Self::Remix => "remix",
        }
    }
}

/// How self-attention is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AttentionType {
    /// Dense softmax attention.
    Original,
    /// Sparse-linear attention in the model's number format.
    Sla,
    /// Sparse-linear attention with int8 scores and fp8 values.
    SageSla,
}

impl AttentionType {
    /// As written on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Original => "original",
            Self::Sla => "sla",
            Self::SageSla => "sagesla",
        }
    }
}

/// How a picture is brought to the size of the video when that size is not adaptive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageFit {
    Crop,
    /// Black bars.
    Pad,
    Stretch,
}

impl ImageFit {
    /// As written on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Crop => "crop",
            Self::Pad => "pad",
            Self::Stretch => "stretch",
        }
    }
}

/// A number of frames of the form `4k + 1`, at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct FrameCount(u32);

/// A number of sampling steps, 1 to [`MAX_STEPS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct StepCount(u32);

/// A number that cannot be a count of frames or steps.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadCount {
    #[error("{0} frames: the number of frames must be 4k + 1")]
    Frames(u32),
    #[error("{0} steps: the number of steps is 1 to {MAX_STEPS}")]
    Steps(u32),
}

impl FrameCount {
    /// Fails unless `frames` is `4k + 1`.
    pub fn new(frames: u32) -> Result<Self, BadCount> {
        if frames % FRAMES_PER_LATENT == 1 { Ok(Self(frames)) } else { Err(BadCount::Frames(frames)) }
    }

    pub fn get(self) -> u32 {
        self.0
    }

    /// Latent frames: `1 + (frames − 1)/4`.
    pub fn latent(self) -> u32 {
        1 + (self.0 - 1) / FRAMES_PER_LATENT
    }

    /// Stored duration in seconds: `frames / 16`.
    pub fn duration_seconds(self) -> f64 {
        f64::from(self.0) / f64::from(FRAMES_PER_SECOND)
    }
}

impl StepCount {
    /// Fails outside `1..=4`.
    pub fn new(steps: u32) -> Result<Self, BadCount> {
        if (1..=MAX_STEPS).contains(&steps) { Ok(Self(steps)) } else { Err(BadCount::Steps(steps)) }
    }

    pub fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for FrameCount {
    type Error = BadCount;
    fn try_from(frames: u32) -> Result<Self, BadCount> {
        Self::new(frames)
    }
}

impl From<FrameCount> for u32 {
    fn from(frames: FrameCount) -> Self {
        frames.0
    }
}

impl TryFrom<u32> for StepCount {
    type Error = BadCount;
    fn try_from(steps: u32) -> Result<Self, BadCount> {
        Self::new(steps)
    }
}

impl From<StepCount> for u32 {
    fn from(steps: StepCount) -> Self {
        steps.0
    }
}

/// One clip to make. The engine reads nothing else besides the picture; equal specs on equal devices give equal frames.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VideoSpec {
    pub model: ModelId,
    pub operation: Operation,
    /// As submitted.
    pub prompt: String,
    /// The text that is encoded.
    pub effective_prompt: String,
    pub size: Size,
    pub resolution: Resolution,
    /// `None` for an adaptive size.
    pub aspect_ratio: Option<AspectRatio>,
    pub frames: FrameCount,
    pub steps: StepCount,
    pub seed: u32,
    /// The noise level of the first step, 1 to 10000.
    pub sigma_max: f64,
    /// Deterministic update instead of fresh noise at each step.
    pub ode: bool,
    /// Noise level under which the low-noise expert takes over; `None` with one expert.
    pub boundary: Option<f64>,
    /// `None` for text-to-video.
    pub adaptive_resolution: Option<bool>,
    /// `None` where no picture is fitted.
    pub image_fit: Option<ImageFit>,
    pub attention: AttentionType,
    /// Share of key blocks that each query block attends to, 0.01 to 1; `None` with dense attention.
    pub sla_topk: Option<f64>,
    /// int8 linear layers.
    pub quant_linear: bool,
    pub normalize_prompt: bool,
}

impl VideoSpec {
    /// Whether a first frame is given.
    pub fn has_image(&self) -> bool {
        self.adaptive_resolution.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_one_more_than_a_multiple_of_four() {
        assert_eq!(FrameCount::new(33).map(FrameCount::latent), Ok(9));
        assert_eq!(FrameCount::new(1).map(FrameCount::latent), Ok(1));
        for bad in [0, 2, 32, 80] {
            assert_eq!(FrameCount::new(bad), Err(BadCount::Frames(bad)));
        }
        assert!(StepCount::new(0).is_err() && StepCount::new(5).is_err());
    }
}
