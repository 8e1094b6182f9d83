//! Attention restricted to the chosen key blocks: `out = softmax(q·kᵀ / √head dim) · v`, normalised over those alone.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "cuda")]
#[cfg(test)]
mod test;

use crate::sla_mask::BlockMap;
use crate::{Device, Error, Result, Tensor};

const NAME: &str = "sparse_attention";

/// `q`, `k`, `v` `[tokens, heads · head dim]`, heads as in `map`; gives `[tokens, heads · head dim]`.
pub fn sparse_attention(q: &Tensor, k: &Tensor, v: &Tensor, map: &BlockMap) -> Result<Tensor> {
    let [tokens, width] = q.axes(NAME, "q")?;
    k.check(NAME, "k", q.shape())?;
    v.check(NAME, "v", q.shape())?;
    let [heads, query_blocks, count] = map.chosen.axes(NAME, "map")?;
    if query_blocks != tokens.div_ceil(map.size.queries) || !width.is_multiple_of(heads) || count == 0 {
        return Err(Error::argument(NAME, format!("a map of {:?} for {tokens} tokens", map.chosen.shape())));
    }
    match q.device() {
        Device::Cpu => cpu::sparse_attention(q, k, v, map),
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => cuda::sparse_attention(&device, q, k, v, map),
    }
}
