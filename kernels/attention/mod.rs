//! Dense attention: `out = softmax(q·kᵀ / √head dim) · v` per head.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "cuda")]
mod cuda_f32;
#[cfg(feature = "cuda")]
#[cfg(test)]
mod test;

use crate::{Device, Error, Result, Tensor};

const NAME: &str = "attention";

/// Bytes of scores that a GPU holds at once in float32 attention, unless one query has more.
pub const FLOAT_SCORES: usize = 16 << 20;

/// `q` `[queries, d]`, `k` and `v` `[keys, d]`, all of one format, `d = heads · head dim` with heads side by side; gives
/// `[queries, d]` in that format.
pub fn attention(q: &Tensor, k: &Tensor, v: &Tensor, heads: usize) -> Result<Tensor> {
    let [_, width] = q.axes(NAME, "q")?;
    let [keys, _] = k.axes(NAME, "k")?;
    k.check(NAME, "k", &[keys, width])?;
    v.check(NAME, "v", k.shape())?;
    if heads == 0 || keys == 0 || !width.is_multiple_of(heads) {
        return Err(Error::argument(NAME, format!("{heads} heads of {width} channels over {keys} keys")));
    }
    match q.device() {
        Device::Cpu => cpu::attention(q, k, v, heads),
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => cuda::attention(&device, q, k, v, heads),
    }
}
