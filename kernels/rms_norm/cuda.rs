//! A block a row.

use super::NAME;
use crate::cuda::{Argument, Device, Grid, cast, empty, pointer};
use crate::{DType, Result, Tensor};

pub(super) fn rms_norm(device: &Device, x: &Tensor, weight: &Tensor, epsilon: f32) -> Result<Tensor> {
    let (dtype, function) = match x.dtype() {
        DType::F32 => (DType::F32, "rms_norm_f32"),
        DType::BF16 | DType::I8 | DType::U32 | DType::F8E4M3 => (DType::BF16, "rms_norm"),
    };
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
