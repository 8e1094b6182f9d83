//! A handful of rows; the launch is all it costs.

use super::NAME;
use crate::cuda::{Argument, Device, Grid, cast, empty, pointer};
use crate::{DType, Result, Tensor};

pub(super) fn modulation(device: &Device, table: &Tensor, embedding: &Tensor) -> Result<Tensor> {
    let out = empty(device, table.shape(), DType::F32)?;
    let table = cast(NAME, table, DType::F32)?;
    let embedding = cast(NAME, embedding, DType::F32)?;
    let arguments = [
        pointer(NAME, &table, DType::F32)?,
        pointer(NAME, &embedding, DType::F32)?,
        pointer(NAME, &out, DType::F32)?,
        Argument::int(table.count()),
        Argument::int(embedding.count()),
    ];
    // SAFETY: table and out hold `count` floats; the embedding's count divides it.
    unsafe { device.launch("modulation/kernel", "modulation", Grid::elements(table.count()), &arguments)? };
    Ok(out)
}
