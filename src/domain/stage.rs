//! How far a running job is: its stages, the progress each covers, and the seconds each took.

use serde::{Deserialize, Serialize};

/// What a job is doing. The order is the order of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    Waiting,
    Preparing,
    LoadingModel,
    EncodingText,
    EncodingImage,
    Denoising,
    Decoding,
    Muxing,
    Uploading,
    /// The worker was lost; the job waits for another.
    Requeued,
}

impl Stage {
    /// As written on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Preparing => "preparing",
            Self::LoadingModel => "loading_model",
            Self::EncodingText => "encoding_text",
            Self::EncodingImage => "encoding_image",
            Self::Denoising => "denoising",
            Self::Decoding => "decoding",
            Self::Muxing => "muxing",
            Self::Uploading => "uploading",
            Self::Requeued => "requeued",
        }
    }

    /// First and last percent of the stage, as the contract gives them; `None` where the stage does not move progress.
    fn range(self) -> Option<(u8, u8)> {
        match self {
            Self::Waiting => Some((0, 0)),
            Self::Preparing => Some((1, 2)),
            Self::LoadingModel => Some((2, 5)),
            Self::EncodingText => Some((5, 10)),
            Self::EncodingImage => Some((10, 15)),
            Self::Denoising => Some((15, 75)),
            Self::Decoding => Some((75, 88)),
            Self::Muxing => Some((88, 94)),
            Self::Uploading => Some((94, 99)),
            Self::Requeued => None,
        }
    }

    /// Percent of the whole job after `done` of `of` parts of this stage, rounded down; `of` = 0 counts as none done.
    pub fn percent(self, done: u32, of: u32) -> Option<u8> {
        let (first, last) = self.range()?;
        let share = (u32::from(last - first) * done.min(of)).checked_div(of).unwrap_or(0);
        Some(first + share as u8)
    }
}

/// Seconds a stage took; a stage that did not run is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    pub queue: Option<f64>,
    pub prepare: Option<f64>,
    pub model_load: Option<f64>,
    pub text_encode: Option<f64>,
    pub image_encode: Option<f64>,
    pub denoise: Option<f64>,
    pub decode: Option<f64>,
    pub mux: Option<f64>,
    pub upload: Option<f64>,
    pub total: Option<f64>,
}

impl Timings {
    /// Notes what a stage took. Stages without work of their own have no seconds.
    pub fn note(&mut self, stage: Stage, seconds: f64) {
        let place = match stage {
            Stage::Preparing => &mut self.prepare,
            Stage::LoadingModel => &mut self.model_load,
            Stage::EncodingText => &mut self.text_encode,
            Stage::EncodingImage => &mut self.image_encode,
            Stage::Denoising => &mut self.denoise,
            Stage::Decoding => &mut self.decode,
            Stage::Muxing => &mut self.mux,
            Stage::Uploading => &mut self.upload,
            Stage::Waiting | Stage::Requeued => return,
        };
        *place = Some(place.unwrap_or(0.0) + seconds);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn denoising_progress_is_that_of_the_contract() {
        let seen: Vec<_> = (0..=4).map(|step| Stage::Denoising.percent(step, 4)).collect();
        assert_eq!(seen, [Some(15), Some(30), Some(45), Some(60), Some(75)]);
        assert_eq!(Stage::Denoising.percent(1, 3), Some(35));
        assert_eq!(Stage::Requeued.percent(1, 1), None);
    }
}
