//! The widths of the published models: a warp a row. Any other, and with GELU: a thread block a row.

use super::NAME;
use crate::cuda::{Argument, Device, Grid, cast, empty, pointer};
use crate::{DType, Result, Tensor};

pub(super) fn quantize_fp8(device: &Device, x: &Tensor) -> Result<(Tensor, Tensor)> {
    match x.axes(NAME, "x")? {
        [_, 1536] => quantise(device, x, "quantize_fp8_1536", true),
        [_, 5120] => quantise(device, x, "quantize_fp8_5120", true),
        [_, _] => quantise(device, x, "quantize_fp8", false),
    }
}

/// As `quantize_fp8` of GELU of `x`, in the same pass.
pub(crate) fn quantize_gelu_fp8(device: &Device, x: &Tensor) -> Result<(Tensor, Tensor)> {
    quantise(device, x, "quantize_gelu_fp8", false)
}

fn quantise(device: &Device, x: &Tensor, function: &'static str, is_warp: bool) -> Result<(Tensor, Tensor)> {
    let [rows, columns] = x.axes(NAME, "x")?;
    let x = cast(NAME, x, DType::BF16)?;
    let values = empty(device, &[rows, columns], DType::F8E4M3)?;
    let scales = empty(device, &[rows], DType::F32)?;
    let arguments = [
        pointer(NAME, &x, DType::BF16)?,
        pointer(NAME, &values, DType::F8E4M3)?,
        pointer(NAME, &scales, DType::F32)?,
        Argument::int(if is_warp { rows } else { columns }),
    ];
    let grid = if is_warp { Grid::warps(rows) } else { Grid::rows(rows) };
    // SAFETY: x and values are `[rows, columns]`, scales one a row; a kernel without columns has them in its name.
    unsafe { device.launch("quantize_fp8/kernel", function, grid, &arguments)? };
    Ok((values, scales))
}
