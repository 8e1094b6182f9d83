//! The definition.

use crate::cpu::{for_each_row, inverse_norm};
use crate::{Result, Tensor};

pub(super) fn channel_norm(x: &Tensor, gamma: &Tensor) -> Result<Tensor> {
    let gamma = gamma.cpu(super::NAME)?;
    let mut out = x.to_f32()?;
    for_each_row(&mut out, x.dim(1), |_, row| {
        let factor = inverse_norm(row);
        row.iter_mut().zip(gamma.iter()).for_each(|(value, gamma)| *value *= factor * gamma);
    });
    Tensor::from_cpu(out, x.shape())
}
