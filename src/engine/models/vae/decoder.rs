//! Latents to frames, a chunk at a time: every causal layer remembers the frames it needs, so chunks of any length give
//! the same video.

use kernels::causal_conv3d::{Around, Conv3d, causal_conv3d};
use kernels::conv2d::{Conv2d, Resample, conv2d};
use kernels::interleave_frames::interleave_frames;
use kernels::linear::{Epilogue, Linear};
use kernels::{Device, Tensor};
use rayon::prelude::*;

use super::VaeConfig;
use super::layers::{Half, Past, Residual, pointwise};
use super::layout::{self, Layer};
use super::stream::Stream;
use crate::engine::error::EngineError;
use crate::engine::models::loader::Loader;
use crate::engine::weights::WeightSource;

/// Fewer are not worth another thread.
const POSITIONS_A_THREAD: usize = 1 << 12;

/// The half of the autoencoder that makes pictures.
pub struct Decoder {
    device: Device,
    mean: Vec<f32>,
    deviation: Vec<f32>,
    conv2: Linear,
    half: Half<Up>,
}

enum Up {
    Residual(Box<Residual>),
    Resample { time: Option<Box<Conv3d>>, space: Box<Conv2d> },
}

impl Decoder {
    /// Reads the decoder's weights onto `device`.
    pub fn load(config: &VaeConfig, source: &dyn WeightSource, device: &Device) -> Result<Self, EngineError> {
        if let Some(problem) = config.problem() {
            return Err(EngineError::Model(problem));
        }
        let loader = Loader::new(source, device);
        Ok(Self {
            device: device.clone(),
            mean: config.latent_mean().to_vec(),
            deviation: config.latent_std().to_vec(),
            conv2: loader.at("conv2").pointwise(config.z_dim, config.z_dim, 3)?,
            half: Half::load(&loader, &layout::decoder(config), Up::load)?,
        })
    }

    /// Decodes a normalised latent `[channels, T, h, w]` of `size` `[T, h, w]`, `latents_per_chunk` of its frames at a
    /// time. Gives `emit` each chunk `[t, 8·h, 8·w, 3]` in order, about −1 to 1: one frame for the first latent frame,
    /// four for each later one. An error of `emit` ends it.
    pub fn decode(
        &self,
        latent: &[f32],
        size: [usize; 3],
        latents_per_chunk: usize,
        mut emit: impl FnMut(Tensor) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        let z = self.denormalised(latent, size)?; // (T, h, w, z)
        let mut memory = Memory { stream: Stream::default(), device: &self.device };
        for first in (0..size[0]).step_by(latents_per_chunk.max(1)) {
            let frames = first..size[0].min(first + latents_per_chunk.max(1));
            memory.stream.rewind();
            emit(self.chunk(&z.rows(frames)?, &mut memory)?)?;
        }
        Ok(())
    }

    fn chunk(&self, z: &Tensor, memory: &mut Memory) -> Result<Tensor, EngineError> {
        let x = pointwise(z, &self.conv2, Epilogue::None)?; // (t, h, w, z)
        let x = memory.convolve(&x, &self.half.conv1, Around::NOTHING)?; // (t, h, w, C)
        let mut x = self.half.middle.forward(&x, memory)?; // (t, h, w, C)
        for layer in &self.half.path {
            x = match layer {
                Up::Residual(residual) => residual.forward(&x, memory)?, // (t, h, w, C)
                Up::Resample { time, space } => {
                    let x = match time {
                        Some(filter) => memory.double_frames(x, filter)?, // (2t, h, w, C)
                        None => x,
                    };
                    conv2d(&x, space)? // (2t, 2h, 2w, C/2)
                }
            };
        }
        self.half.head.forward(&x, memory) // (4t, 8h, 8w, 3)
    }

    /// The latent with its channels last and its mean and deviation restored. All of it at once: to bring a part to a GPU
    /// means to wait for the part before.
    fn denormalised(
        &self,
        latent: &[f32],
        [total, height, width]: [usize; 3],
    ) -> Result<Tensor, EngineError> {
        let (channels, positions) = (self.mean.len(), total * height * width);
        if latent.len() != channels * positions || latent.is_empty() {
            return Err(EngineError::Request(format!("a latent of {} numbers", latent.len())));
        }
        let mut z = vec![0.0; latent.len()];
        z.par_chunks_mut(channels).enumerate().with_min_len(POSITIONS_A_THREAD).for_each(|(position, z)| {
            for (channel, z) in z.iter_mut().enumerate() {
                *z = latent[channel * positions + position] * self.deviation[channel] + self.mean[channel];
            }
        });
        let shape = [total, height, width, channels];
        Ok(self.device.apart(|| Tensor::from_f32(z, &shape, self.device.activations(), &self.device))?)
    }
}

impl Up {
    fn load(loader: &Loader, layer: &Layer) -> Result<Self, EngineError> {
        match *layer {
            Layer::Residual { inputs, outputs } => {
                Ok(Self::Residual(Box::new(Residual::load(loader, inputs, outputs)?)))
            }
            Layer::Upsample { channels, time } | Layer::Downsample { channels, time } => {
                let time_conv =
                    || loader.at("time_conv").conv3d([2 * channels, channels, 3, 1, 1]).map(Box::new);
                let space = loader.at("resample").at(1).conv2d(channels, channels / 2, Resample::Up)?;
                Ok(Self::Resample { time: time.then(time_conv).transpose()?, space: Box::new(space) })
            }
        }
    }
}

/// The frames in front of a chunk are those that the layer saw last.
struct Memory<'a> {
    stream: Stream,
    device: &'a Device,
}

impl Past for Memory<'_> {
    fn convolve(&mut self, x: &Tensor, filter: &Conv3d, around: Around) -> Result<Tensor, EngineError> {
        let history = self.stream.next().history.clone();
        let out = causal_conv3d(x, filter, &Around { history: history.as_ref(), ..around })?;
        drop(history);
        self.remember(x, filter)?;
        Ok(out)
    }
}

impl Memory<'_> {
    /// What the layer will need of its input, apart from what is computed in.
    fn remember(&mut self, x: &Tensor, filter: &Conv3d) -> Result<(), EngineError> {
        let slot = self.stream.slot();
        Ok(self.device.apart(|| slot.remember(x, filter.history(1)))?)
    }

    /// Two frames from each of `x` `[t, H, W, C]`, except from the first of the video, which the filter never sees.
    fn double_frames(&mut self, x: Tensor, filter: &Conv3d) -> Result<Tensor, EngineError> {
        let slot = self.stream.next();
        let (history, begun) = (slot.history.clone(), std::mem::replace(&mut slot.begun, true));
        let first = if begun { None } else { Some(x.rows(0..1)?) };
        let rest = x.rows(first.iter().len()..x.dim(0))?;
        if rest.dim(0) == 0 {
            return Ok(x);
        }
        let around = Around { history: history.as_ref(), ..Around::NOTHING };
        let doubled = interleave_frames(&causal_conv3d(&rest, filter, &around)?)?; // (2t, H, W, C)
        drop(history);
        self.remember(&rest, filter)?;
        match first {
            Some(first) => Ok(Tensor::concat(&[&first, &doubled])?),
            None => Ok(doubled),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::expected_tensors;
    use super::*;
    use crate::engine::models::seeded::Seeded;
    use crate::engine::sampler::Noise;

    #[test]
    fn chunks_of_any_length_give_the_video_of_the_whole() {
        let config = VaeConfig::for_test();
        let decoder = Decoder::load(&config, &Seeded(expected_tensors(&config)), &Device::Cpu).unwrap();
        let size = [5, 3, 2];
        let latent = Noise::new(1).normal(0, 16 * 5 * 3 * 2);
        let decode = |per_chunk: usize| {
            let (mut frames, mut lengths) = (Vec::new(), Vec::new());
            let keep = |chunk: Tensor| {
                lengths.push(chunk.dim(0));
                frames.extend(chunk.to_f32()?);
                Ok(())
            };
            decoder.decode(&latent, size, per_chunk, keep).unwrap();
            (frames, lengths)
        };
        let (whole, lengths) = decode(5);
        assert_eq!((lengths, whole.len()), (vec![17], 17 * 24 * 16 * 3));
        for (per_chunk, expected) in [(1, vec![1, 4, 4, 4, 4]), (2, vec![5, 8, 4]), (3, vec![9, 8])] {
            let (frames, lengths) = decode(per_chunk);
            assert_eq!(lengths, expected);
            assert!(frames.iter().zip(&whole).all(|(a, b)| (a - b).abs() < 1e-5), "{per_chunk} a chunk");
        }
    }
}
