//! The definition.

use super::{Affine, NAME};
use crate::cpu::{for_each_row, mean_square, sum};
use crate::{Result, Tensor};

pub(super) fn layer_norm(x: &Tensor, affine: &Affine, epsilon: f32) -> Result<Tensor> {
    let (shift, scale) = (affine.shift.cpu(NAME)?, affine.scale.cpu(NAME)?);
    let offset = affine.scale_offset;
    let width = x.dim(1);
    let mut out = x.to_f32()?;
    for_each_row(&mut out, width, |_, row| {
        let mean = sum(row) / width as f32;
        let inverse = 1.0 / (mean_square(row, mean) + epsilon).sqrt();
        for ((value, shift), scale) in row.iter_mut().zip(shift.iter()).zip(scale.iter()) {
            *value = (*value - mean) * inverse * (offset + scale) + shift;
        }
    });
    Tensor::from_cpu(out, x.shape())
}
