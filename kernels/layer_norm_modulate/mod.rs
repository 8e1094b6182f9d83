//! Layer norm over the last axis, then a shift and a scale: of the time step, or learned.
//! `norm(x) = (x − mean) / √(variance + ε)`, with the statistics in float32. Linear layers take the outcome: it is given in
//! their format.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "cuda")]
#[cfg(test)]
mod test;

use crate::{Device, Format, Matrix, Result, Tensor};

const NAME: &str = "layer_norm_modulate";

/// `norm(x)·(1 + scale) + shift`: `x` `[rows, d]`; `shift`, `scale` `[d]` float32. Gives `[rows, d]`.
pub fn layer_norm_modulate(
    x: &Tensor,
    shift: &Tensor,
    scale: &Tensor,
    epsilon: f32,
    format: Format,
) -> Result<Matrix> {
    apply(x, Affine { shift, scale, scale_offset: 1.0 }, epsilon, format)
}

/// `norm(x)·weight + bias`: `x` `[rows, d]`; `weight`, `bias` `[d]` float32. Gives `[rows, d]`.
pub fn layer_norm_affine(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    epsilon: f32,
    format: Format,
) -> Result<Matrix> {
    apply(x, Affine { shift: bias, scale: weight, scale_offset: 0.0 }, epsilon, format)
}

/// `norm(x)·(scale_offset + scale) + shift`.
struct Affine<'a> {
    shift: &'a Tensor,
    scale: &'a Tensor,
    scale_offset: f32,
}

fn apply(x: &Tensor, affine: Affine, epsilon: f32, format: Format) -> Result<Matrix> {
    let [_, width] = x.axes(NAME, "x")?;
    affine.shift.check(NAME, "shift", &[width])?;
    affine.scale.check(NAME, "scale", &[width])?;
    match x.device() {
        Device::Cpu => Matrix::of(cpu::layer_norm(x, &affine, epsilon)?, format),
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => cuda::layer_norm(&device, x, &affine, epsilon, format),
    }
}
