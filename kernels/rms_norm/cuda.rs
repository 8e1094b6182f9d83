//! A block a row.

use super::NAME;
use crate::cuda::{Argument, Device, Grid, cast, empty, pointer};
use crate::{DType, Result, Tensor};

pub(super) fn rms_norm(device: &Device, x: &Tensor, weight: &Tensor, epsilon: f32) -> Result<Tensor> {
    let out = empty(device, x.shape(), DType::BF16)?;
    let weight = cast(NAME, weight, DType::F32)?;
    let arguments = [
        pointer(NAME, x, DType::BF16)?,
        pointer(NAME, &weight, DType::F32)?,
        pointer(NAME, &out, DType::BF16)?,
        Argument::int(x.dim(1)),
        Argument::F32(epsilon),
    ];
    // SAFETY: x and out are `[rows, width]` bfloat16, the weight `[width]` float32.
    unsafe { device.launch("rms_norm/kernel", "rms_norm", Grid::rows(x.dim(0)), &arguments)? };
    Ok(out)
}
