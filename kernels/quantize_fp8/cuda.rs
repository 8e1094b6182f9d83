//! A thread block a row.

use super::NAME;
use crate::cuda::{Argument, Device, Grid, cast, empty, pointer};
use crate::{DType, Result, Tensor};

pub(super) fn quantize_fp8(device: &Device, x: &Tensor) -> Result<(Tensor, Tensor)> {
    quantise(device, x, "quantize_fp8")
}

/// As `quantize_fp8` of GELU of `x`, in the same pass.
pub(crate) fn quantize_gelu_fp8(device: &Device, x: &Tensor) -> Result<(Tensor, Tensor)> {
    quantise(device, x, "quantize_gelu_fp8")
}

fn quantise(device: &Device, x: &Tensor, function: &'static str) -> Result<(Tensor, Tensor)> {
    let [rows, columns] = x.axes(NAME, "x")?;
    let x = cast(NAME, x, DType::BF16)?;
    let values = empty(device, &[rows, columns], DType::F8E4M3)?;
    let scales = empty(device, &[rows], DType::F32)?;
    let arguments = [
        pointer(NAME, &x, DType::BF16)?,
        pointer(NAME, &values, DType::F8E4M3)?,
        pointer(NAME, &scales, DType::F32)?,
        Argument::int(columns),
    ];
    // SAFETY: x and values are `[rows, columns]`, scales one a row.
    unsafe { device.launch("quantize_fp8/kernel", function, Grid::rows(rows), &arguments)? };
    Ok((values, scales))
}
