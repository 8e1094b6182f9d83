//! Root-mean-square norm of queries or keys over all heads together, then the rotation by position of each head:
//! `y = x / √(mean(x²) + ε) · weight`, `(a, b) → (a·cos − b·sin, b·cos + a·sin)` for adjacent elements.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
mod table;
#[cfg(feature = "cuda")]
#[cfg(test)]
mod test;

pub use table::RopeTable;

use crate::{Device, Error, Result, Tensor};

const NAME: &str = "rms_norm_rope";

/// `x` `[tokens, heads · head dim]`, `weight` `[heads · head dim]` float32; without a table nothing is rotated (the
/// queries and keys of cross-attention). Gives the shape and format of `x`.
pub fn rms_norm_rope(x: &Tensor, weight: &Tensor, epsilon: f32, rope: Option<&RopeTable>) -> Result<Tensor> {
    let [tokens, width] = x.axes(NAME, "x")?;
    weight.check(NAME, "weight", &[width])?;
    if let Some(rope) = rope {
        rope.cos.check(NAME, "rope", &[tokens, rope.cos.dim(1)])?;
        if !width.is_multiple_of(2 * rope.cos.dim(1)) {
            return Err(Error::argument(NAME, format!("{width} channels are no whole number of heads")));
        }
    }
    match x.device() {
        Device::Cpu => cpu::rms_norm_rope(x, weight, epsilon, rope),
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => cuda::rms_norm_rope(&device, x, weight, epsilon, rope),
    }
}
