//! A warp a position.

use super::NAME;
use crate::cuda::{Argument, Device, Grid, cast, empty, pointer};
use crate::{DType, Result, Tensor};

pub(super) fn channel_norm(device: &Device, x: &Tensor, gamma: &Tensor) -> Result<Tensor> {
    let [positions, channels] = x.axes(NAME, "x")?;
    let out = empty(device, x.shape(), DType::BF16)?;
    let gamma = cast(NAME, gamma, DType::F32)?;
    let arguments = [
        pointer(NAME, x, DType::BF16)?,
        pointer(NAME, &gamma, DType::F32)?,
        pointer(NAME, &out, DType::BF16)?,
        Argument::long(positions),
        Argument::int(channels),
    ];
    // SAFETY: x and out are `[positions, channels]` bfloat16, gamma `[channels]` float32.
    unsafe { device.launch("channel_norm/kernel", "channel_norm_rows", Grid::warps(positions), &arguments)? };
    Ok(out)
}
