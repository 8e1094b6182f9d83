//! A few threads a position, as many as hold its channels.

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
        Argument::int(lanes(channels)),
    ];
    // SAFETY: x and out are `[positions, channels]` bfloat16, gamma `[channels]` float32.
    unsafe {
        device.launch(
            "channel_norm/kernel",
            "channel_norm_rows",
            Grid::elements(positions * lanes(channels)),
            &arguments,
        )?;
    }
    Ok(out)
}

/// Threads that share a position; as in `channel_norm.cuh`.
pub(crate) fn lanes(channels: usize) -> usize {
    /// Channels that a thread holds.
    const HELD: usize = 24;
    const WARP: usize = 32;
    let lanes = channels / HELD;
    if channels.is_multiple_of(HELD) && lanes.is_power_of_two() && lanes < WARP { lanes } else { WARP }
}
