//! The definition: the two operators that it fuses.

use crate::layer_norm_modulate::layer_norm_modulate;
use crate::linear::{Epilogue, Linear, linear};
use crate::{Format, Result, Tensor};

pub(super) fn head(x: &Tensor, modulation: &Tensor, projection: &Linear, epsilon: f32) -> Result<Tensor> {
    let (shift, scale) = (modulation.row(0)?, modulation.row(1)?); // (d)
    let h = layer_norm_modulate(x, &shift, &scale, epsilon, Format::Plain)?; // (rows, d)
    linear(&h, projection, Epilogue::None) // (rows, outputs)
}
