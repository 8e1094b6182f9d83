//! The widths of the published models: a warp a row, held in registers. Any other, and rows of float32, which stay float32 on
//! their way into a plain layer: a block a row, held in shared memory. Rows of e4m3 are made in the same pass where a row is a warp's.

use super::{Affine, NAME};
use crate::cuda::{Argument, Device, Grid, cast, empty, pointer};
use crate::{DType, Error, Format, Matrix, Result, Tensor};

/// A row of float32 must fit the shared memory every kernel may use.
const LONGEST_ROW: usize = 11 * 1024;

pub(super) fn layer_norm(
    device: &Device,
    x: &Tensor,
    affine: &Affine,
    epsilon: f32,
    format: Format,
) -> Result<Matrix> {
    let [rows, width] = x.axes(NAME, "x")?;
    if width > LONGEST_ROW {
        return Err(Error::argument(NAME, format!("rows of {width}, longer than {LONGEST_ROW}")));
    }
    let is_wide = x.dtype() == DType::F32;
    let out = match (format, width) {
        (Format::Fp8, 1536 | 5120) if !is_wide => Matrix::Fp8 {
            values: empty(device, x.shape(), DType::F8E4M3)?,
            scale: empty(device, &[rows], DType::F32)?,
        },
        (Format::Plain, _) if is_wide => Matrix::Plain(empty(device, x.shape(), DType::F32)?),
        _ => Matrix::Plain(empty(device, x.shape(), DType::BF16)?),
    };
    let (function, is_warp) = match (out.format(), width) {
        _ if is_wide && format == Format::Plain => ("layer_norm_modulate_f32_of_f32", false),
        _ if is_wide => ("layer_norm_modulate_of_f32", false),
        (Format::Fp8, 1536) => ("layer_norm_modulate_fp8_1536", true),
        (Format::Fp8, _) => ("layer_norm_modulate_fp8_5120", true),
        (_, 1536) => ("layer_norm_modulate_1536", true),
        (_, 5120) => ("layer_norm_modulate_5120", true),
        _ => ("layer_norm_modulate", false),
    };
    let shift = cast(NAME, affine.shift, DType::F32)?;
    let scale = cast(NAME, affine.scale, DType::F32)?;
    let mut arguments = vec![
        pointer(NAME, x, if is_wide { DType::F32 } else { DType::BF16 })?,
        pointer(NAME, &shift, DType::F32)?,
        pointer(NAME, &scale, DType::F32)?,
        pointer(NAME, out.values(), out.values().dtype())?,
    ];
    if let Matrix::Fp8 { scale, .. } = &out {
        arguments.push(pointer(NAME, scale, DType::F32)?);
    }
    arguments.extend([
        Argument::int(if is_warp { rows } else { width }),
        Argument::F32(affine.scale_offset),
        Argument::F32(epsilon),
    ]);
    let block_a_row = Grid { shared: width * size_of::<f32>(), ..Grid::rows(rows) };
    let grid = if is_warp { Grid::warps(rows) } else { block_a_row };
    // SAFETY: x and out are `[rows, width]`, shift and scale `[width]`, there is a factor a row; a kernel without a width has
    // it in its name, and for the other shared memory holds one row.
    unsafe { device.launch("layer_norm_modulate/kernel", function, grid, &arguments)? };
    out.into_format(NAME, format)
}
