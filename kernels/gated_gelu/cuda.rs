//! One pass over the two inputs.

use super::NAME;
use crate::cuda::{Argument, Device, Grid, empty, pointer};
use crate::{DType, Result, Tensor};

pub(super) fn gated_gelu(device: &Device, gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    let out = empty(device, gate.shape(), DType::BF16)?;
    let arguments = [
        pointer(NAME, gate, DType::BF16)?,
        pointer(NAME, up, DType::BF16)?,
        pointer(NAME, &out, DType::BF16)?,
        Argument::long(gate.count()),
    ];
    // SAFETY: all three hold `count` bfloat16.
    unsafe { device.launch("gated_gelu/kernel", "gated_gelu", Grid::elements(gate.count()), &arguments)? };
    Ok(out)
}
