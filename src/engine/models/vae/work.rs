//! How many bytes each half computes in, from its layers: what is alive at the fullest convolution, beside what the
//! layers remember. Follows the networks' code line by line; never runs anything.

use super::VaeConfig;
use super::layout::{self, Layer};

/// Frames that a 3×3×3 convolution, and one of three taps in time, keep of the chunk before.
const HISTORY: usize = 2;
/// Frames from a picture and one grey frame.
const STILL_FRAMES: usize = 2;

/// Elements of a frame's pixel row, kept as numbers that grow with the walk.
struct Walk {
    /// Positions of a frame at this depth.
    positions: usize,
    frames: usize,
    /// What layers remember, in elements.
    remembered: usize,
    /// The most that a layer holds at once besides, in elements.
    fullest: usize,
}

impl Walk {
    fn hold(&mut self, elements: usize) {
        self.fullest = self.fullest.max(elements);
    }

    fn remember(&mut self, channels: usize) {
        self.remembered += HISTORY * self.positions * channels;
    }

    /// A residual block of the decoder: its input and the way around it, history and chunk normed together, the result.
    fn residual(&mut self, inputs: usize, outputs: usize) {
        let Self { positions, frames, .. } = *self;
        let around = if inputs == outputs { 0 } else { frames * outputs };
        let normed = (frames + HISTORY) * inputs;
        self.hold(positions * (frames * inputs + around + normed + frames * outputs));
        self.hold(positions * (frames * inputs + around + 2 * frames * outputs));
        self.remember(inputs);
        self.remember(outputs);
    }
}

/// Elements that attention within frames holds: scores of one frame in float32, weights beside them; queries, keys, values
/// and the result of all.
fn attention(positions: usize, frames: usize, channels: usize, element: usize) -> usize {
    positions * (positions * (4 + element) / element + 6 * frames * channels)
}

/// Bytes in which the decoder turns `total` latent frames of `height` × `width` into pictures, `at_once` of them at a time,
/// elements of `element` bytes.
pub fn decoder_work(
    config: &VaeConfig,
    [total, height, width]: [usize; 3],
    at_once: usize,
    element: usize,
) -> usize {
    let layout = layout::decoder(config);
    let latents = at_once.min(total);
    // A video's first frame is never doubled: in a chunk that is the only one, that shows.
    let undoubled = usize::from(latents == total);
    let positions = height * width;
    let mut walk = Walk { positions, frames: latents, remembered: 0, fullest: 0 };
    walk.remember(layout.first.0);
    walk.residual(layout.middle, layout.middle);
    walk.residual(layout.middle, layout.middle);
    walk.hold(attention(positions, latents, layout.middle, element));
    for layer in &layout.layers {
        match *layer {
            Layer::Residual { inputs, outputs } => walk.residual(inputs, outputs),
            Layer::Upsample { channels, time } | Layer::Downsample { channels, time } => {
                if time {
                    // The chunk, twice its channels, and those as frames.
                    walk.hold(walk.positions * walk.frames * channels * 5);
                    walk.remember(channels);
                    walk.frames = 2 * walk.frames - undoubled;
                }
                let before = walk.positions * walk.frames * channels;
                walk.positions *= 4;
                walk.hold(before + walk.positions * walk.frames * (channels / 2));
            }
        }
    }
    let (channels, colours) = layout.last;
    let Walk { positions, frames, .. } = walk;
    walk.hold(positions * (frames * channels + (frames + HISTORY) * channels + frames * colours));
    walk.remember(channels);
    (walk.remembered + walk.fullest) * element
}

/// Bytes in which the encoder turns a picture of `height` × `width`, and the grey frames after it of `total`, into a latent.
pub fn encoder_work(config: &VaeConfig, [total, height, width]: [usize; 3], element: usize) -> usize {
    let layout = layout::encoder(config);
    let (mut positions, mut frames, mut total) = (height * width, STILL_FRAMES.min(total), total);
    let mut fullest = 0;
    // Each convolution needs two frames more until all are there.
    let more = |frames: usize, total: usize| total.min(frames + HISTORY);
    frames = more(frames, total);
    for layer in &layout.layers {
        match *layer {
            Layer::Residual { inputs, outputs } => {
                let (first, second) = (more(frames, total), more(more(frames, total), total));
                let around = if inputs == outputs { 0 } else { frames * outputs };
                // The input, the same made longer, that normed, the result.
                let copy = |from: usize, to: usize| if to > from { to } else { 0 };
                let one = frames * inputs + around + (copy(frames, first) + first) * inputs + first * outputs;
                let residual = copy(frames, second) * outputs;
                let kept = frames * inputs + around + first * outputs;
                let two = kept + (copy(first, second) + second) * outputs + residual;
                fullest = fullest.max(positions * one.max(two));
                frames = second;
            }
            Layer::Downsample { channels, time } | Layer::Upsample { channels, time } => {
                let before = positions * frames * channels;
                positions /= 4;
                fullest = fullest.max(before + positions * frames * channels);
                if time {
                    total = 1 + (total - 1) / 2;
                    let constant = (frames - 1 + HISTORY).div_ceil(2);
                    fullest = fullest.max(positions * channels * (3 * frames + 2 * constant));
                    frames = total.min(constant + 1);
                }
            }
        }
    }
    fullest.max(attention(positions, frames, layout.middle, element)) * element
}
