//! Dense attention: `out = softmax(q·kᵀ / √head dim) · v` per head.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "cuda")]
#[cfg(test)]
mod test;

use crate::{Device, Error, Result, Tensor};

const NAME: &str = "attention";

/// `q` `[queries, d]`, `k` and `v` `[keys, d]`, `d = heads · head dim` with heads side by side; gives `[queries, d]`.
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
