//! Which layer follows which, with its place in the checkpoint and its channels. Holds no weights.

use super::VaeConfig;

/// A layer of the down or up path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Layer {
    /// Two 3×3×3 convolutions with a shortcut.
    Residual { inputs: usize, outputs: usize },
    /// Halves height and width, and time where `time`.
    Downsample { channels: usize, time: bool },
    /// Doubles height and width, and time where `time`; halves the channels.
    Upsample { channels: usize, time: bool },
}

/// One half of the autoencoder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    /// `encoder` or `decoder`.
    pub(super) prefix: &'static str,
    /// `downsamples` or `upsamples`.
    pub(super) path: &'static str,
    /// Channels into and out of `conv1`.
    pub(super) first: (usize, usize),
    pub(super) layers: Vec<Layer>,
    /// Channels of the middle, which stands at the lowest resolution.
    pub(super) middle: usize,
    /// Channels into and out of `head.2`.
    pub(super) last: (usize, usize),
}

/// Colours of a pixel.
const RGB: usize = 3;

/// The half that makes latents; its middle comes after its path.
pub(super) fn encoder(config: &VaeConfig) -> Layout {
    let widths: Vec<usize> = config.dim_mult.iter().map(|&factor| factor * config.dim).collect();
    let mut layers = Vec::new();
    let mut channels = config.dim;
    for (stage, &width) in widths.iter().enumerate() {
        for _ in 0..config.num_res_blocks {
            layers.push(Layer::Residual { inputs: channels, outputs: width });
            channels = width;
        }
        if let Some(&time) = config.temperal_downsample.get(stage) {
            layers.push(Layer::Downsample { channels, time });
        }
    }
    Layout {
        prefix: "encoder",
        path: "downsamples",
        first: (RGB, config.dim),
        layers,
        middle: channels,
        last: (channels, 2 * config.z_dim),
    }
}

/// The half that makes pictures; its middle comes before its path.
pub(super) fn decoder(config: &VaeConfig) -> Layout {
    let dim = config.decoder_dim();
    let widths: Vec<usize> = config.dim_mult.iter().rev().map(|&factor| factor * dim).collect();
    let middle = widths[0];
    let mut layers = Vec::new();
    let mut channels = middle;
    for (stage, &width) in widths.iter().enumerate() {
        for _ in 0..=config.num_res_blocks {
            layers.push(Layer::Residual { inputs: channels, outputs: width });
            channels = width;
        }
        if let Some(&time) = config.temperal_downsample.iter().rev().nth(stage) {
            layers.push(Layer::Upsample { channels, time });
            channels /= 2;
        }
    }
    Layout {
        prefix: "decoder",
        path: "upsamples",
        first: (config.z_dim, middle),
        layers,
        middle,
        last: (channels, RGB),
    }
}
