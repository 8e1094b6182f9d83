//! A block a row.

use super::NAME;
use crate::cuda::{Argument, Device, Grid, cast, empty, float_format, pointer};
use crate::{DType, Result, Tensor};

pub(super) fn rms_norm(device: &Device, x: &Tensor, weight: &Tensor, epsilon: f32) -> Result<Tensor> {
    let dtype = float_format(x);
    let function = if dtype == DType::F32 { "rms_norm_f32" } else { "rms_norm" };
    let out = empty(device, x.shape(), dtype)?;
    let weight = cast(NAME, weight, DType::F32)?;
    let arguments = [
        pointer(NAME, x, dtype)?,
        pointer(NAME, &weight, DType::F32)?,
        pointer(NAME, &out, dtype)?,
        Argument::int(x.dim(1)),
        Argument::F32(epsilon),
    ];
    // SAFETY: x and out are `[rows, width]` of one format, the weight `[width]` float32.
    unsafe { device.launch("rms_norm/kernel", function, Grid::rows(x.dim(0)), &arguments)? };
    Ok(out)
}
