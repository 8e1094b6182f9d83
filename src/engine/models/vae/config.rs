//! The numbers of an autoencoder, named as the checkpoints' authors name them.

use serde::{Deserialize, Serialize};

use crate::domain::video::FRAMES_PER_LATENT;

/// Published per-channel mean of the latents of the Wan2.1 autoencoder.
const WAN_LATENT_MEAN: [f32; 16] = [
    -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508, 0.4134, -0.0715, 0.5517, -0.3632,
    -0.1922, -0.9497, 0.2503, -0.2921,
];

/// Published per-channel standard deviation of the latents of the Wan2.1 autoencoder.
const WAN_LATENT_STD: [f32; 16] = [
    2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743, 3.2687, 2.1526, 2.8652, 1.5579, 1.6382,
    1.1253, 2.8251, 1.9160,
];

/// Resolutions of an autoencoder whose latents stand for 8×8 pixels.
const RESOLUTIONS: usize = 4;

/// Shape of an autoencoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VaeConfig {
    /// Channels at full resolution.
    pub dim: usize,
    /// The same of the decoder where it is wider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoder_dim: Option<usize>,
    /// Latent channels.
    pub z_dim: usize,
    /// Channels of each resolution in units of `dim`, full resolution first.
    pub dim_mult: Vec<usize>,
    /// Residual blocks at each resolution of the encoder; the decoder has one more.
    pub num_res_blocks: usize,
    /// Resolutions with attention besides the middle; no published model has any.
    #[serde(default)]
    pub attn_scales: Vec<f64>,
    /// Whether each of the encoder's downsamplings also halves time (the authors' spelling).
    pub temperal_downsample: Vec<bool>,
    /// Mean of each latent channel; absent means that of Wan2.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latent_mean: Option<Vec<f32>>,
    /// Standard deviation of each latent channel; absent means that of Wan2.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latent_std: Option<Vec<f32>>,
}

impl VaeConfig {
    /// The autoencoder of every published Wan2.1 and Wan2.2-A14B model.
    pub fn wan21() -> Self {
        Self {
            dim: 96,
            decoder_dim: None,
            z_dim: 16,
            dim_mult: vec![1, 2, 4, 4],
            num_res_blocks: 2,
            attn_scales: Vec::new(),
            temperal_downsample: vec![false, true, true],
            latent_mean: None,
            latent_std: None,
        }
    }

    /// Channels at full resolution of the decoder.
    pub fn decoder_dim(&self) -> usize {
        self.decoder_dim.unwrap_or(self.dim)
    }

    /// Mean of each latent channel.
    pub fn latent_mean(&self) -> &[f32] {
        self.latent_mean.as_deref().unwrap_or(&WAN_LATENT_MEAN)
    }

    /// Standard deviation of each latent channel.
    pub fn latent_std(&self) -> &[f32] {
        self.latent_std.as_deref().unwrap_or(&WAN_LATENT_STD)
    }

    /// Frames that one latent frame stands for, the first aside.
    pub fn frames_per_latent(&self) -> usize {
        self.temperal_downsample.iter().map(|&halves| if halves { 2 } else { 1 }).product()
    }

    /// Why the numbers do not make a network, if they do not.
    pub fn problem(&self) -> Option<String> {
        let stages = self.dim_mult.len();
        let narrowest = self.dim_mult.iter().min().copied().unwrap_or(0);
        if self.dim == 0 || self.decoder_dim() == 0 || self.z_dim == 0 || narrowest == 0 {
            return Some("dim, z_dim and dim_mult must be positive".into());
        }
        if !self.attn_scales.is_empty() {
            return Some("attention at other resolutions than the lowest is not supported".into());
        }
        if self.temperal_downsample.len() + 1 != stages {
            return Some(format!("{stages} resolutions need {} entries in temperal_downsample", stages - 1));
        }
        // What a latent stands for is known everywhere, from the sizes that are offered to the memory that is planned.
        if stages != RESOLUTIONS || self.frames_per_latent() != FRAMES_PER_LATENT as usize {
            return Some(format!(
                "dim_mult needs {RESOLUTIONS} entries and temperal_downsample two that are true: a latent is 4 frames of 8x8"
            ));
        }
        if self.latent_mean().len() != self.z_dim || self.latent_std().len() != self.z_dim {
            return Some(format!("latent_mean and latent_std need {} entries", self.z_dim));
        }
        if self.num_res_blocks == 0 {
            return Some("num_res_blocks must be positive".into());
        }
        // Upsampling halves the channels, rounded down; the full resolution is not upsampled.
        if self.dim_mult[1..].iter().any(|factor| factor * self.decoder_dim() < 2) {
            return Some("the decoder has no two channels to halve".into());
        }
        None
    }

    /// A network small enough for a test, with different halves.
    #[cfg(test)]
    pub(super) fn for_test() -> Self {
        Self { dim: 4, decoder_dim: Some(6), num_res_blocks: 1, ..Self::wan21() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_upsampling_cannot_halve_is_refused_and_odd_widths_are_not() {
        let problem = |dim, dim_mult: [usize; 4]| {
            VaeConfig { dim, dim_mult: dim_mult.to_vec(), ..VaeConfig::wan21() }.problem()
        };
        assert_eq!((problem(5, [1, 2, 4, 4]), problem(7, [1, 3, 3, 5])), (None, None));
        assert!(problem(1, [2, 1, 4, 4]).is_some_and(|problem| problem.contains("halve")));
        assert!(problem(4, [1, 2, 0, 4]).is_some());
        assert!(problem(4, [1, 2, 4, 4]).is_none());
        let halving = |temperal_downsample: Vec<bool>, dim_mult: Vec<usize>| {
            VaeConfig { temperal_downsample, dim_mult, ..VaeConfig::wan21() }.problem()
        };
        assert!(halving(vec![false, false, true], vec![1, 2, 4, 4]).is_some());
        assert!(halving(vec![true, true], vec![1, 2, 4]).is_some());
        assert!(VaeConfig { num_res_blocks: 0, ..VaeConfig::wan21() }.problem().is_some());
        assert_eq!(VaeConfig::wan21().frames_per_latent(), 4);
    }
}
