//! The definition.

use crate::cpu::{for_each_row, gelu_tanh};
use crate::{Result, Tensor};

pub(super) fn gated_gelu(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    let up = up.cpu(super::NAME)?;
    let width = gate.dim(gate.shape().len() - 1);
    let mut out = gate.to_f32()?;
    for_each_row(&mut out, width, |row, out| {
        for (out, up) in out.iter_mut().zip(&up[row * width..]) {
            *out = gelu_tanh(*out) * up;
        }
    });
    Tensor::from_cpu(out, gate.shape())
}
