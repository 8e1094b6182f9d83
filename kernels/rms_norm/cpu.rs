//! The definition.

use crate::cpu::{for_each_row, mean_square};
use crate::{Result, Tensor};

pub(super) fn rms_norm(x: &Tensor, weight: &Tensor, epsilon: f32) -> Result<Tensor> {
    let weight = weight.cpu(super::NAME)?;
    let mut out = x.to_f32()?;
    for_each_row(&mut out, x.dim(1), |_, row| {
        let inverse = 1.0 / (mean_square(row, 0.0) + epsilon).sqrt();
        row.iter_mut().zip(weight.iter()).for_each(|(value, weight)| *value *= inverse * weight);
    });
    Tensor::from_cpu(out, x.shape())
}
