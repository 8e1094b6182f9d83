//! `out = softmax(q·kᵀ + bias) · v` per head, without any scaling and without keys that are padding.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "cuda")]
#[cfg(test)]
mod test;

use crate::position_bias::PositionBias;
use crate::{Device, Error, Result, Tensor};

const NAME: &str = "text_attention";

/// `q`, `k`, `v` `[positions, heads · head dim]`, all of the bias's positions; `is_text` says which keys are not
/// padding, and at least one must be. Gives `[positions, heads · head dim]`.
pub fn text_attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    bias: &PositionBias,
    is_text: &[bool],
) -> Result<Tensor> {
    let [positions, width] = q.axes(NAME, "q")?;
    k.check(NAME, "k", q.shape())?;
    v.check(NAME, "v", q.shape())?;
    let heads = bias.by_distance.dim(0);
    if positions != bias.positions || positions != is_text.len() || !width.is_multiple_of(heads) {
        return Err(Error::argument(NAME, "positions or heads that do not fit the bias"));
    }
    if !is_text.contains(&true) {
        return Err(Error::argument(NAME, "no key to attend to"));
    }
    match q.device() {
        Device::Cpu => cpu::text_attention(q, k, v, bias, is_text),
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => cuda::text_attention(&device, q, k, v, bias, is_text),
    }
}
