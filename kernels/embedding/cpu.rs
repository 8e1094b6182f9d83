//! The definition.

use crate::{Result, Tensor};

pub(super) fn embedding(table: &Tensor, ids: &[u32]) -> Result<Tensor> {
    let ids = candle_core::Tensor::new(ids, &candle_core::Device::Cpu)?;
    Tensor::from_candle(table.candle(super::NAME)?.index_select(&ids, 0)?)
}
