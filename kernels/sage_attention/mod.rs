//! [`sparse_attention`](crate::sparse_attention) with 8-bit operands over the blocks that [`sla_mask`](crate::sla_mask)
//! chooses; one operator, because on a GPU quantising reads what choosing needs. Queries and centred keys are int8 with one
//! scale a block (`max|x|/127 + 1e-7`, halves away from zero); values are e4m3 with one scale a head and channel
//! (`max/2.25`); probabilities are e4m3 in `(0, 448]`. Sums stay in float32.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "cuda")]
#[cfg(test)]
mod test;

use crate::sla_mask::{BlockSize, sla_mask};
use crate::{Device, Error, Result, Tensor};

const NAME: &str = "sage_attention";

/// `q`, `k`, `v` `[tokens, heads · head dim]`, a query block attends to `ratio` of the key blocks; gives
/// `[tokens, heads · head dim]`.
pub fn sage_attention([q, k, v]: [&Tensor; 3], heads: usize, size: BlockSize, ratio: f64) -> Result<Tensor> {
    let [_, width] = q.axes(NAME, "q")?;
    k.check(NAME, "k", q.shape())?;
    v.check(NAME, "v", q.shape())?;
    if heads == 0 || !width.is_multiple_of(heads) || size.queries == 0 || size.keys == 0 {
        return Err(Error::argument(NAME, format!("{heads} heads of {width} channels in {size:?}")));
    }
    match q.device() {
        Device::Cpu => cpu::sage_attention(q, k, v, &sla_mask(q, k, heads, size, ratio)?),
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => cuda::sage_attention(&device, [q, k, v], heads, size, ratio),
    }
}

/// The blocks to use on `device` for a model whose sparse attention was given blocks of `size`: upstream's kernels for
/// Hopper take 64 queries and 128 keys in place of 128 and 64.
pub fn block_size(device: &Device, size: BlockSize) -> BlockSize {
    match device {
        Device::Cpu => size,
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => cuda::block_size(device, size),
    }
}
