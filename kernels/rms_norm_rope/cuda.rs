//! A block a token: the norm spans all heads, so a row is one block's work.

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
    let arguments = [
        pointer(NAME, x, DType::BF16)?,
        pointer(NAME, &weight, DType::F32)?,
        optional(NAME, rope.map(|rope| &rope.cos), DType::F32)?,
        optional(NAME, rope.map(|rope| &rope.sin), DType::F32)?,
        pointer(NAME, &out, DType::BF16)?,
        Argument::int(x.dim(1)),
        Argument::int(rope.map_or(1, |rope| rope.cos.dim(1))),
        Argument::F32(epsilon),
    ];
    // SAFETY: x and out are `[tokens, width]` bfloat16, the tables `[tokens, pairs]` with heads of 2·pairs in a row.
    unsafe { device.launch("rms_norm_rope/kernel", "rms_norm_rope", Grid::rows(x.dim(0)), &arguments)? };
    Ok(out)
}
