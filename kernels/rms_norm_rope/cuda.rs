//! The widths of the published models: a warp a token, held in registers. Any other: a block a token. The norm spans all
//! heads, so a row is never shared out further.

use super::{NAME, RopeTable};
use crate::cuda::{Argument, Device, Grid, cast, empty, optional, pointer};
use crate::{DType, Result, Tensor};

pub(super) fn rms_norm_rope(
    device: &Device,
    x: &Tensor,
    weight: &Tensor,
    epsilon: f32,
    rope: Option<&RopeTable>,
) -> Result<Tensor> {
    let out = empty(device, x.shape(), DType::BF16)?;
    let weight = cast(NAME, weight, DType::F32)?;
    let (rows, width, pairs) = (x.dim(0), x.dim(1), rope.map_or(4, |rope| rope.cos.dim(1)));
    let in_step = pairs.is_multiple_of(4) && 256 % (2 * pairs) == 0;
    let in_registers = match width {
        1536 if in_step => Some("rms_norm_rope_1536"),
        5120 if in_step => Some("rms_norm_rope_5120"),
        _ => None,
    };
    let arguments = [
        pointer(NAME, x, DType::BF16)?,
        pointer(NAME, &weight, DType::F32)?,
        optional(NAME, rope.map(|rope| &rope.cos), DType::F32)?,
        optional(NAME, rope.map(|rope| &rope.sin), DType::F32)?,
        pointer(NAME, &out, DType::BF16)?,
        Argument::int(if in_registers.is_some() { rows } else { width }),
        Argument::int(pairs),
        Argument::F32(epsilon),
    ];
    let (function, grid) = match in_registers {
        Some(function) => (function, Grid::warps(rows)),
        None => ("rms_norm_rope", Grid::rows(rows)),
    };
    // SAFETY: x and out are `[tokens, width]` bfloat16, the tables `[tokens, pairs]` with heads of 2·pairs in a row; a
    // kernel without a width has it in its name.
    unsafe { device.launch("rms_norm_rope/kernel", function, grid, &arguments)? };
    Ok(out)
}
