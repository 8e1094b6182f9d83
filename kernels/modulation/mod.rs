//! `out = table + embedding`, the shifts, scales and gates of a layer at a time step, in float32 on every device.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "cuda")]
#[cfg(test)]
mod test;

use crate::{Device, Result, Tensor};

const NAME: &str = "modulation";

/// `table` `[n, d]`, `embedding` `[n, d]` or `[d]` (added to every row), both float32; gives `[n, d]` float32.
pub fn modulation(table: &Tensor, embedding: &Tensor) -> Result<Tensor> {
    let [_, width] = table.axes(NAME, "table")?;
    if embedding.shape() != [width] {
        embedding.check(NAME, "embedding", table.shape())?;
    }
    match table.device() {
        Device::Cpu => cpu::modulation(table, embedding),
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => cuda::modulation(&device, table, embedding),
    }
}
