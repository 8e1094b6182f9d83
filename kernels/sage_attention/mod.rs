//! [`sparse_attention`](crate::sparse_attention) with 8-bit operands. Queries and centred keys are int8 with one scale a
//! block (`max|x|/127 + 1e-7`, halves away from zero); values are e4m3 with one scale a head and channel (`max/2.25`);
//! probabilities are e4m3 in `(0, 448]`. Sums stay in float32.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "cuda")]
#[cfg(test)]
mod test;

use crate::sla_mask::BlockMap;
use crate::{Device, Result, Tensor};

const NAME: &str = "sage_attention";

/// `q`, `k`, `v` `[tokens, heads · head dim]`, heads as in `map`; gives `[tokens, heads · head dim]`.
pub fn sage_attention(q: &Tensor, k: &Tensor, v: &Tensor, map: &BlockMap) -> Result<Tensor> {
    map.check(NAME, [q, k, v])?;
    match q.device() {
        Device::Cpu => cpu::sage_attention(q, k, v, map),
        #[cfg(feature = "cuda")]
        Device::Cuda(_) => cuda::sage_attention(q, k, v, map),
    }
}
