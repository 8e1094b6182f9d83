//! One pass over the two inputs.

use super::NAME;
use crate::cuda::{Argument, Device, Grid, empty, pointer};
use crate::{DType, Result, Tensor};

pub(super) fn gated_gelu(device: &Device, gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    let (dtype, function) = match gate.dtype() {
        DType::F32 => (DType::F32, "gated_gelu_f32"),
        DType::BF16 | DType::I8 | DType::U32 | DType::F8E4M3 => (DType::BF16, "gated_gelu"),
    };
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
