//! The definition.

use super::{Time, TimeEmbedding, sinusoid};
use crate::cpu::silu;
use crate::linear::{Epilogue, linear};
use crate::{Result, Tensor};

pub(super) fn time_embedding(timestep: f32, layers: &TimeEmbedding) -> Result<Time> {
    let width = layers.second.outputs();
    let inputs = layers.first.inputs();
    let waves = Tensor::from_cpu(sinusoid(timestep, inputs), &[1, inputs])?; // (1, frequencies)
    let hidden = activated(&linear(&waves, &layers.first, Epilogue::None)?)?; // (1, d)
    let embedding = linear(&hidden, &layers.second, Epilogue::None)?; // (1, d)
    let rows = linear(&activated(&embedding)?, &layers.projection, Epilogue::None)?; // (1, rows · d)
    Ok(Time { rows: rows.reshape(&[rows.count() / width, width])?, embedding: embedding.reshape(&[width])? })
}

fn activated(x: &Tensor) -> Result<Tensor> {
    Tensor::from_cpu(x.to_f32()?.into_iter().map(silu).collect(), x.shape())
}
