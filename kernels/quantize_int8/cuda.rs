//! A thread block a block of 128×128.

use super::{BLOCK, NAME};
use crate::cuda::{Argument, Device, Grid, cast, empty, pointer};
use crate::{DType, Result, Tensor};

pub(super) fn quantize_int8(device: &Device, x: &Tensor) -> Result<(Tensor, Tensor)> {
    let [rows, columns] = x.axes(NAME, "x")?;
    let x = cast(NAME, x, DType::BF16)?;
    let blocks = [rows.div_ceil(BLOCK), columns.div_ceil(BLOCK)];
    let values = empty(device, &[rows, columns], DType::I8)?;
    let scales = empty(device, &blocks, DType::F32)?;
    let arguments = [
        pointer(NAME, &x, DType::BF16)?,
        pointer(NAME, &values, DType::I8)?,
        pointer(NAME, &scales, DType::F32)?,
        Argument::int(rows),
        Argument::int(columns),
    ];
    let grid = Grid { blocks: (blocks[1], blocks[0], 1), ..Grid::rows(1) };
    // SAFETY: x and values are `[rows, columns]`; there is a scale for every block of the grid.
    unsafe { device.launch("quantize_int8/kernel", "quantize_int8", grid, &arguments)? };
    Ok((values, scales))
}
