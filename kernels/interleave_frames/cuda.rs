//! One thread eight channels, or one where eight do not divide them.

use super::NAME;
use crate::cuda::{Argument, Device, Grid, empty, pointer};
use crate::{DType, Result, Tensor};

pub(super) fn interleave_frames(device: &Device, x: &Tensor) -> Result<Tensor> {
    let [frames, height, width, channels] = x.axes(NAME, "x")?;
    let out = empty(device, &[2 * frames, height, width, channels / 2], DType::BF16)?;
    let channels = channels / 2;
    let grain = if channels.is_multiple_of(8) { 8 } else { 1 };
    let count = x.count() / grain;
    let arguments = [
        pointer(NAME, x, DType::BF16)?,
        pointer(NAME, &out, DType::BF16)?,
        Argument::long(count),
        Argument::int(height * width),
        Argument::int(channels / grain),
        Argument::int(grain),
    ];
    // SAFETY: both hold the same count of bfloat16.
    unsafe {
        device.launch("interleave_frames/kernel", "interleave_frames", Grid::elements(count), &arguments)?
    };
    Ok(out)
}
