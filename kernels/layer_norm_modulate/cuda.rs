//! The widths of the published models: a warp a row, held in registers. Any other: a block a row, held in shared memory.

use super::{Affine, NAME};
use crate::cuda::{Argument, Device, Grid, cast, empty, pointer};
use crate::{DType, Error, Result, Tensor};

/// A row of float32 must fit the shared memory every kernel may use.
const LONGEST_ROW: usize = 11 * 1024;

pub(super) fn layer_norm(device: &Device, x: &Tensor, affine: &Affine, epsilon: f32) -> Result<Tensor> {
    let width = x.dim(1);
    if width > LONGEST_ROW {
        return Err(Error::argument(NAME, format!("rows of {width}, longer than {LONGEST_ROW}")));
    }
    let out = empty(device, x.shape(), DType::BF16)?;
    let shift = cast(NAME, affine.shift, DType::F32)?;
    let scale = cast(NAME, affine.scale, DType::F32)?;
    let in_registers = match width {
        1536 => Some("layer_norm_modulate_1536"),
        5120 => Some("layer_norm_modulate_5120"),
        _ => None,
    };
    let arguments = [
        pointer(NAME, x, DType::BF16)?,
        pointer(NAME, &shift, DType::F32)?,
        pointer(NAME, &scale, DType::F32)?,
        pointer(NAME, &out, DType::BF16)?,
        Argument::int(if in_registers.is_some() { x.dim(0) } else { width }),
        Argument::F32(affine.scale_offset),
        Argument::F32(epsilon),
    ];
    let block_a_row = Grid { shared: width * size_of::<f32>(), ..Grid::rows(x.dim(0)) };
    let (function, grid) = match in_registers {
        Some(function) => (function, Grid::warps(x.dim(0))),
        None => ("layer_norm_modulate", block_a_row),
    };
    // SAFETY: x and out are `[rows, width]`, shift and scale `[width]`; a kernel without a width has it in its name, and
    // for the other shared memory holds one row.
    unsafe { device.launch("layer_norm_modulate/kernel", function, grid, &arguments)? };
    Ok(out)
}
