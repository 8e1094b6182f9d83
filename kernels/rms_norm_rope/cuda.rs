//! The widths of the published models: a warp a token, held in registers. Any other, and float32: a block a token. The norm
//! spans all heads, so a row is never shared out further.

use super::{NAME, RopeTable};
use crate::cuda::{Argument, Device, Grid, cast, empty, float_format, optional, pointer};
use crate::{DType, Result, Tensor};

pub(super) fn rms_norm_rope(
    device: &Device,
    x: &Tensor,
    weight: &Tensor,
    epsilon: f32,
    rope: Option<&RopeTable>,
) -> Result<Tensor> {
    let dtype = float_format(x);
    let out = empty(device, x.shape(), dtype)?;
    let weight = cast(NAME, weight, DType::F32)?;
    let (rows, width, pairs) = (x.dim(0), x.dim(1), rope.map_or(4, |rope| rope.cos.dim(1)));
    let in_step = pairs.is_multiple_of(4) && 256 % (2 * pairs) == 0;
    let in_registers = match (dtype, width) {
        (DType::BF16, 1536) if in_step => Some("rms_norm_rope_1536"),
        (DType::BF16, 5120) if in_step => Some("rms_norm_rope_5120"),
        _ => None,
    };
    let by_block = if dtype == DType::F32 { "rms_norm_rope_f32" } else { "rms_norm_rope" };
    let arguments = [
        pointer(NAME, x, dtype)?,
        pointer(NAME, &weight, DType::F32)?,
        optional(NAME, rope.map(|rope| &rope.cos), DType::F32)?,
        optional(NAME, rope.map(|rope| &rope.sin), DType::F32)?,
        pointer(NAME, &out, dtype)?,
        Argument::int(if in_registers.is_some() { rows } else { width }),
        Argument::int(pairs),
        Argument::F32(epsilon),
    ];
    let (function, grid) = match in_registers {
        Some(function) => (function, Grid::warps(rows)),
        None => (by_block, Grid::rows(rows)),
    };
    // SAFETY: x and out are `[tokens, width]` of one format, the tables `[tokens, pairs]` with heads of 2·pairs in a row; a
    // kernel without a width has it in its name.
    unsafe { device.launch("rms_norm_rope/kernel", function, grid, &arguments)? };
    Ok(out)
}
