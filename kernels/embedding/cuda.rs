//! The ids travel with the call; the table stays where it is.

use super::NAME;
use crate::cuda::{Argument, Device, Grid, empty, float_format, pointer};
use crate::{DType, Result, Tensor};

pub(super) fn embedding(device: &Device, table: &Tensor, ids: &[u32]) -> Result<Tensor> {
    let width = table.dim(1);
    let dtype = float_format(table);
    let function = if dtype == DType::F32 { "embedding_f32" } else { "embedding" };
    let out = empty(device, &[ids.len(), width], dtype)?;
    let places = Tensor::from_u32(ids.to_vec(), &[ids.len()], &crate::Device::Cuda(device.clone()))?;
    let arguments = [
        pointer(NAME, table, dtype)?,
        pointer(NAME, &places, DType::U32)?,
        pointer(NAME, &out, dtype)?,
        Argument::int(width),
    ];
    // SAFETY: every id was checked to lie in the table; a block writes one row of `width`.
    unsafe { device.launch("embedding/kernel", function, Grid::rows(ids.len()), &arguments)? };
    Ok(out)
}
