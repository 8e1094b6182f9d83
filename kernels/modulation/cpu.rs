//! The definition.

use crate::{Result, Tensor};

pub(super) fn modulation(table: &Tensor, embedding: &Tensor) -> Result<Tensor> {
    let (table, embedding) = (table.candle(super::NAME)?, embedding.candle(super::NAME)?);
    Tensor::from_candle(table.broadcast_add(embedding)?)
}
