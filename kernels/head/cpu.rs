//! The definition: the two operators that it fuses.

use crate::layer_norm_modulate::layer_norm_modulate;
use crate::linear::{Epilogue, Linear, linear};
use crate::{Result, Tensor};

pub(super) fn head(x: &Tensor, modulation: &Tensor, projection: &Linear, epsilon: f32) -> Result<Tensor> {
    let h = layer_norm_modulate(x, &modulation.row(0)?, &modulation.row(1)?, epsilon)?; // (rows, d)
    linear(&h, projection, Epilogue::None) // (rows, outputs)
}
