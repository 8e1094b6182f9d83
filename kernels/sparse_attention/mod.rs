//! Attention restricted to the chosen key blocks: `out = softmax(q·kᵀ / √head dim) · v`, normalised over those alone.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "cuda")]
#[cfg(test)]
mod test;

use crate::sla_mask::BlockMap;
use crate::{Device, Result, Tensor};

const NAME: &str = "sparse_attention";

/// `q`, `k`, `v` `[tokens, heads · head dim]`, heads as in `map`; gives `[tokens, heads · head dim]`.
pub fn sparse_attention(q: &Tensor, k: &Tensor, v: &Tensor, map: &BlockMap) -> Result<Tensor> {
    map.check(NAME, [q, k, v])?;
    match q.device() {
        Device::Cpu => cpu::sparse_attention(q, k, v, map),
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => cuda::sparse_attention(&device, q, k, v, map),
    }
}
