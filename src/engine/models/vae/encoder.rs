//! Frames to latents. A clip whose last frames are all equal is carried as its frames up to the first of them: whatever
//! a causal layer makes of the rest is equal too, once that frame has filled its window. So a picture followed by still
//! frames costs a few frames instead of all, with identical results.

use kernels::causal_conv3d::{Around, Conv3d, causal_conv3d};
use kernels::conv2d::{Conv2d, Resample, conv2d};
use kernels::linear::{Epilogue, Linear};
use kernels::{Device, Tensor};

use super::VaeConfig;
use super::layers::{Half, Past, Residual, pointwise};
use super::layout::{self, Layer};
use crate::engine::error::EngineError;
use crate::engine::models::loader::Loader;
use crate::engine::weights::WeightSource;

/// The half of the autoencoder that makes latents.
pub struct Encoder {
    mean: Vec<f32>,
    deviation: Vec<f32>,
    half: Half<Down>,
    quantise: Linear,
}

enum Down {
    Residual(Box<Residual>),
    Resample { space: Box<Conv2d>, time: Option<Box<Conv3d>> },
}

/// Frames, the last of which stands for all that follow.
#[derive(Debug, Clone)]
pub struct Clip {
    /// `[n, H, W, C]`, at most `total` frames.
    frames: Tensor,
    total: usize,
}

impl Encoder {
    /// Reads the encoder's weights onto `device`.
    pub fn load(config: &VaeConfig, source: &dyn WeightSource, device: &Device) -> Result<Self, EngineError> {
        if let Some(problem) = config.problem() {
            return Err(EngineError::Model(problem));
        }
        let loader = Loader::new(source, device);
        Ok(Self {
            mean: config.latent_mean().to_vec(),
            deviation: config.latent_std().to_vec(),
            half: Half::load(&loader, &layout::encoder(config), Down::load)?,
            quantise: loader.at("conv1").pointwise(2 * config.z_dim, 2 * config.z_dim, 3)?,
        })
    }

    /// The normalised latent `[channels, 1 + (frames − 1)/4, H/8, W/8]` of a clip of `4k + 1` frames, float32.
    pub fn encode(&self, clip: &Clip) -> Result<Vec<f32>, EngineError> {
        let mut start = Start { total: clip.total };
        let x = clip.frames.clone();
        let mut x = start.convolve(&x, &self.half.conv1, Around::NOTHING)?; // (n, H, W, C)
        for layer in &self.half.path {
            x = match layer {
                Down::Residual(residual) => residual.forward(&x, &mut start)?, // (n, h, w, C)
                Down::Resample { space, time } => {
                    let x = conv2d(&x, space)?; // (n, h/2, w/2, C)
                    match time {
                        Some(filter) => start.halve_frames(&x, filter)?, // (n/2, h/2, w/2, C)
                        None => x,
                    }
                }
            };
        }
        let x = self.half.middle.forward(&x, &mut start)?; // (n, h, w, C)
        let x = self.half.head.forward(&x, &mut start)?; // (n, h, w, 2·z)
        let x = pointwise(&x, &self.quantise, Epilogue::None)?; // (n, h, w, 2·z)
        self.normalised(&extended(&x, start.total)?)
    }

    /// The means, which are the first half of the channels, with channels first and normalised.
    fn normalised(&self, x: &Tensor) -> Result<Vec<f32>, EngineError> {
        let values = x.to_f32()?;
        let channels = self.mean.len();
        let latent = |channel: usize| {
            let (mean, deviation) = (self.mean[channel], self.deviation[channel]);
            values.chunks_exact(2 * channels).map(move |position| (position[channel] - mean) / deviation)
        };
        Ok((0..channels).flat_map(latent).collect())
    }
}

impl Clip {
    /// `total` frames, of which all after the last of `frames` `[n, H, W, 3]` are equal to it. `total` is `4k + 1` and at
    /// least `n`.
    pub fn new(frames: Tensor, total: usize) -> Result<Self, EngineError> {
        let have = frames.dim(0);
        if have == 0 || have > total || total % 4 != 1 {
            return Err(EngineError::Request(format!("{have} frames for a clip of {total}")));
        }
        Ok(Self { frames, total })
    }
}

impl Down {
    fn load(loader: &Loader, layer: &Layer) -> Result<Self, EngineError> {
        match *layer {
            Layer::Residual { inputs, outputs } => {
                Ok(Self::Residual(Box::new(Residual::load(loader, inputs, outputs)?)))
            }
            Layer::Downsample { channels, time } | Layer::Upsample { channels, time } => {
                let time_conv = || loader.at("time_conv").conv3d([channels, channels, 3, 1, 1]).map(Box::new);
                let space = loader.at("resample").at(1).conv2d(channels, channels, Resample::Down)?;
                Ok(Self::Resample { space: Box::new(space), time: time.then(time_conv).transpose()? })
            }
        }
    }
}

/// Zeros stand in front of the first frame, and every layer gives as many frames as it takes to become constant.
struct Start {
    /// Frames of the clip at this depth.
    total: usize,
}

impl Past for Start {
    fn convolve(&mut self, x: &Tensor, filter: &Conv3d, around: Around) -> Result<Tensor, EngineError> {
        let needed = self.total.min(x.dim(0) + filter.history(1));
        let residual = around.residual.map(|residual| extended(residual, needed)).transpose()?;
        let around = Around { residual: residual.as_ref(), ..around };
        Ok(causal_conv3d(&extended(x, needed)?, filter, &around)?)
    }
}

impl Start {
    /// Every second frame of `x` `[n, H, W, C]`: the first as it is, then the filter over three frames each.
    fn halve_frames(&mut self, x: &Tensor, filter: &Conv3d) -> Result<Tensor, EngineError> {
        self.total = 1 + (self.total - 1) / 2;
        // Frame j sees 2j − 2 to 2j, so it is constant from the first j whose whole window is.
        let constant = (x.dim(0) - 1 + filter.history(1)).div_ceil(2);
        let frames = self.total.min(constant + 1);
        let first = x.rows(0..1)?;
        if frames == 1 {
            return Ok(first);
        }
        let x = extended(x, 2 * frames - 1)?;
        let around = Around { history: Some(&first), time_stride: 2, ..Around::NOTHING };
        let rest = causal_conv3d(&x.rows(1..2 * frames - 1)?, filter, &around)?; // (frames − 1, H, W, C)
        Ok(Tensor::concat(&[&first, &rest])?)
    }
}

/// The first `count` frames of the clip that `x` `[n, …]` stands for.
fn extended(x: &Tensor, count: usize) -> Result<Tensor, EngineError> {
    let have = x.dim(0);
    if have >= count {
        return Ok(x.rows(0..count)?);
    }
    let last = x.rows(have - 1..have)?;
    let parts: Vec<&Tensor> = std::iter::once(x).chain(std::iter::repeat_n(&last, count - have)).collect();
    Ok(Tensor::concat(&parts)?)
}

#[cfg(test)]
mod tests {
    use super::super::expected_tensors;
    use super::*;
    use crate::engine::models::seeded::Seeded;
    use crate::engine::sampler::Noise;
    use kernels::DType;

    /// Long enough that full, half and quarter resolution become constant: 11, 19 and 19 frames of 81, 81 and 41.
    const TOTAL: usize = 81;

    #[test]
    fn still_frames_cost_little_and_change_nothing() {
        let config = VaeConfig::for_test();
        let encoder = Encoder::load(&config, &Seeded(expected_tensors(&config)), &Device::Cpu).unwrap();
        let (height, width) = (16, 24);
        let frame = height * width * 3;
        let clip = |frames: usize| {
            let mut pixels = Noise::new(1).normal(0, frame);
            pixels.resize(frames * frame, 0.0);
            let pixels =
                Tensor::from_f32(pixels, &[frames, height, width, 3], DType::F32, &Device::Cpu).unwrap();
            Clip::new(pixels, TOTAL).unwrap()
        };
        let (short, long) = (encoder.encode(&clip(2)).unwrap(), encoder.encode(&clip(TOTAL)).unwrap());
        assert_eq!(short.len(), 16 * 21 * 2 * 3);
        assert!(short.iter().zip(&long).all(|(a, b)| (a - b).abs() < 1e-5));
    }

    #[test]
    fn a_clip_is_one_more_than_a_multiple_of_four() {
        let frames = || Tensor::from_f32(vec![0.0; 384], &[2, 8, 8, 3], DType::F32, &Device::Cpu).unwrap();
        assert!(Clip::new(frames(), 5).is_ok());
        assert!(Clip::new(frames(), 6).is_err() && Clip::new(frames(), 1).is_err());
    }
}
