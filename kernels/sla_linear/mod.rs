//! The linear branch of sparse-linear attention, added to the sparse one. Per head, over all keys:
//! `out = sparse + (φ(q)·(φ(k)ᵀ·v) / (1e-5 + φ(q)·Σφ(k))) · Wᵀ + b`, `φ` = softmax over a token's channels.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "cuda")]
#[cfg(test)]
mod test;

use crate::{Device, Error, Result, Tensor};

const NAME: &str = "sla_linear";

/// What goes into the branch; all of `[tokens, heads · head dim]`.
#[derive(Debug, Clone, Copy)]
pub struct SlaLinear<'a> {
    pub q: &'a Tensor,
    pub k: &'a Tensor,
    pub v: &'a Tensor,
    /// Output of the sparse branch.
    pub sparse: &'a Tensor,
    /// `[head dim, head dim]`, shared by the heads.
    pub weight: &'a Tensor,
    /// `[head dim]`.
    pub bias: &'a Tensor,
}

/// Gives `[tokens, heads · head dim]`; the number of heads follows from the projection.
pub fn sla_linear(branch: &SlaLinear) -> Result<Tensor> {
    let [_, width] = branch.q.axes(NAME, "q")?;
    for (name, tensor) in [("k", branch.k), ("v", branch.v), ("sparse", branch.sparse)] {
        tensor.check(NAME, name, branch.q.shape())?;
    }
    let [dim] = branch.bias.axes(NAME, "bias")?;
    branch.weight.check(NAME, "weight", &[dim, dim])?;
    if dim == 0 || !width.is_multiple_of(dim) {
        return Err(Error::argument(NAME, format!("{width} channels are no whole number of {dim}")));
    }
    match branch.q.device() {
        Device::Cpu => cpu::sla_linear(branch),
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => cuda::sla_linear(&device, branch),
    }
}
