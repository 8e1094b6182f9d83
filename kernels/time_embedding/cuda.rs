//! One row through three matrices: the weights are read once in the format they are stored in, the sums are float32.

use super::{NAME, Time, TimeEmbedding, sinusoid};
use crate::cuda::{Argument, Device, Grid, cast, empty, optional, pointer};
use crate::linear::Linear;
use crate::{DType, Error, Matrix, Result, Tensor};

pub(super) fn time_embedding(device: &Device, timestep: f32, layers: &TimeEmbedding) -> Result<Time> {
    let inputs = layers.first.inputs();
    let here = crate::Device::Cuda(device.clone());
    let waves = Tensor::from_f32(sinusoid(timestep, inputs), &[inputs], DType::F32, &here)?; // (frequencies)
    let hidden = layer(device, &waves, &layers.first, false)?; // (d)
    let embedding = layer(device, &hidden, &layers.second, true)?; // (d)
    let rows = layer(device, &embedding, &layers.projection, true)?; // (rows · d)
    let width = embedding.count();
    Ok(Time { rows: rows.reshape(&[rows.count() / width, width])?, embedding })
}

/// `W·x + b`, with `x` through SiLU first where asked.
fn layer(device: &Device, x: &Tensor, layer: &Linear, activate: bool) -> Result<Tensor> {
    let Matrix::Plain(weight) = &layer.weight else {
        return Err(Error::argument(NAME, "a quantised layer"));
    };
    let (outputs, inputs) = (layer.outputs(), layer.inputs());
    let bias = layer.bias.as_ref().map(|bias| cast(NAME, bias, DType::F32)).transpose()?;
    let out = empty(device, &[outputs], DType::F32)?;
    let function = if weight.dtype() == DType::BF16 { "time_embedding_bf16" } else { "time_embedding_f32" };
    let arguments = [
        pointer(NAME, x, DType::F32)?,
        pointer(NAME, weight, weight.dtype())?,
        optional(NAME, bias.as_ref(), DType::F32)?,
        pointer(NAME, &out, DType::F32)?,
        Argument::int(outputs),
        Argument::int(inputs),
        Argument::I32(i32::from(activate)),
    ];
    // SAFETY: x is `[inputs]`, the weight `[outputs, inputs]` of the kernel's type, out `[outputs]`.
    unsafe { device.launch("time_embedding/kernel", function, Grid::warps(outputs), &arguments)? };
    Ok(out)
}
