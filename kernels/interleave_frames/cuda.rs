//! One thread an element.

use super::NAME;
use crate::cuda::{Argument, Device, Grid, empty, pointer};
use crate::{DType, Result, Tensor};

pub(super) fn interleave_frames(device: &Device, x: &Tensor) -> Result<Tensor> {
    let [frames, height, width, channels] = x.axes(NAME, "x")?;
    let out = empty(device, &[2 * frames, height, width, channels / 2], DType::BF16)?;
    let arguments = [
        pointer(NAME, x, DType::BF16)?,
        pointer(NAME, &out, DType::BF16)?,
        Argument::long(x.count()),
        Argument::int(height * width),
        Argument::int(channels / 2),
    ];
    // SAFETY: both hold the same count of bfloat16.
    unsafe {
        device.launch(
            "interleave_frames/kernel",
            "interleave_frames",
            Grid::elements(x.count()),
            &arguments,
        )?
    };
    Ok(out)
}
