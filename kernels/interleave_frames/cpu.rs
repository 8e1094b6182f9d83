//! The definition.

use crate::{Result, Tensor};

pub(super) fn interleave_frames(x: &Tensor) -> Result<Tensor> {
    let [frames, height, width, channels] = x.axes(super::NAME, "x")?;
    let halves = x.candle(super::NAME)?.reshape((frames, height * width, 2, channels / 2))?; // (t, p, half, c)
    let frames_first = halves.permute((0, 2, 1, 3))?.contiguous()?; // (t, half, p, c)
    Tensor::from_candle(frames_first.reshape((2 * frames, height, width, channels / 2))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_become_neighbours() {
        let x = Tensor::from_cpu((0..8).map(|v| v as f32).collect(), &[2, 1, 2, 2]).unwrap();
        let out = interleave_frames(&x).unwrap();
        assert_eq!(out.shape(), [4, 1, 2, 1]);
        assert_eq!(out.to_f32().unwrap(), [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]);
    }
}
