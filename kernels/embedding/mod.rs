//! `out[i] = table[ids[i]]`. Looks words up; never checks that they make sense.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "cuda")]
#[cfg(test)]
mod test;

use crate::{Device, Error, Result, Tensor};

const NAME: &str = "embedding";

/// Rows `ids` of `table` `[vocabulary, d]`: `[ids, d]`. Fails on an id outside the table.
pub fn embedding(table: &Tensor, ids: &[u32]) -> Result<Tensor> {
    let [vocabulary, _] = table.axes(NAME, "table")?;
    if let Some(id) = ids.iter().find(|&&id| id as usize >= vocabulary) {
        return Err(Error::argument(NAME, format!("id {id} of a table of {vocabulary}")));
    }
    match table.device() {
        Device::Cpu => cpu::embedding(table, ids),
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => cuda::embedding(&device, table, ids),
    }
}
