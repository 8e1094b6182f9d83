//! The definition.

use super::{NAME, Patch};
use crate::{Result, Tensor};

pub(super) fn patchify(parts: &[&Tensor], patch: Patch) -> Result<Tensor> {
    let x = Tensor::concat(parts)?;
    let [channels, frames, height, width] = x.axes(NAME, "parts")?;
    let x = x.cpu(NAME)?;
    let features = channels * patch.iter().product::<usize>();
    let mut out = Vec::with_capacity(x.len());
    for_each_token([frames, height, width], patch, |corner| {
        for channel in 0..channels {
            for_each_pixel(patch, |pixel| {
                let [t, h, w] = [0, 1, 2].map(|axis| corner[axis] + pixel[axis]);
                out.push(x[((channel * frames + t) * height + h) * width + w]);
            });
        }
    });
    let tokens = out.len() / features;
    Tensor::from_cpu(out, &[tokens, features])
}

pub(super) fn unpatchify(tokens: &Tensor, size: [usize; 3], patch: Patch) -> Result<Tensor> {
    let [frames, height, width] = size;
    let channels = tokens.dim(1) / patch.iter().product::<usize>();
    let tokens = tokens.cpu(NAME)?;
    let mut values = tokens.iter();
    let mut out = vec![0.0; tokens.len()];
    for_each_token(size, patch, |corner| {
        for_each_pixel(patch, |pixel| {
            let [t, h, w] = [0, 1, 2].map(|axis| corner[axis] + pixel[axis]);
            for (channel, value) in (0..channels).zip(values.by_ref()) {
                out[((channel * frames + t) * height + h) * width + w] = *value;
            }
        });
    });
    Tensor::from_cpu(out, &[channels, frames, height, width])
}

fn for_each_token(size: [usize; 3], patch: Patch, mut body: impl FnMut([usize; 3])) {
    for t in (0..size[0]).step_by(patch[0]) {
        for h in (0..size[1]).step_by(patch[1]) {
            (0..size[2]).step_by(patch[2]).for_each(|w| body([t, h, w]));
        }
    }
}

fn for_each_pixel(patch: Patch, body: impl FnMut([usize; 3])) {
    for_each_token(patch, [1, 1, 1], body);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_slow_going_in_and_fast_coming_out() {
        let latent = Tensor::from_cpu((0..16).map(|v| v as f32).collect(), &[2, 1, 2, 4]).unwrap();
        let tokens = patchify(&[&latent], [1, 2, 2]).unwrap();
        assert_eq!(tokens.shape(), [2, 8]);
        assert_eq!(tokens.to_f32().unwrap()[..8], [0.0, 1.0, 4.0, 5.0, 8.0, 9.0, 12.0, 13.0]);

        let out = unpatchify(&tokens, [1, 2, 4], [1, 2, 2]).unwrap();
        assert_eq!(out.shape(), [2, 1, 2, 4]);
        // Token 0 read as (pixel, channel): its first two numbers are both channels of the top left pixel.
        let out = out.to_f32().unwrap();
        assert_eq!((out[0], out[8], out[1], out[9]), (0.0, 1.0, 4.0, 5.0));
    }
}
