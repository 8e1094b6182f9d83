//! One pass over the two inputs.

use super::NAME;
use crate::cuda::{Argument, Device, Grid, empty, float_format, pointer};
use crate::{DType, Result, Tensor};

pub(super) fn gated_gelu(device: &Device, gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    let dtype = float_format(gate);
    let function = if dtype == DType::F32 { "gated_gelu_f32" } else { "gated_gelu" };
    let out = empty(device, gate.shape(), dtype)?;
    let arguments = [
        pointer(NAME, gate, dtype)?,
        pointer(NAME, up, dtype)?,
        pointer(NAME, &out, dtype)?,
        Argument::long(gate.count()),
    ];
    // SAFETY: all three hold `count` elements of one format.
    unsafe { device.launch("gated_gelu/kernel", function, Grid::elements(gate.count()), &arguments)? };
    Ok(out)
}
