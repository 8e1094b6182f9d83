//! Which key blocks each query block attends to: mean-pool queries and centred keys over blocks, score every pair of
//! blocks by the dot product, keep the best `k` a query block. Centring the keys does not change the choice in exact
//! arithmetic; it keeps rounding out of it. Means and scores are float32 on every backend, so that all choose alike.

mod cpu;
#[cfg(feature = "cuda")]
pub(crate) mod cuda;
#[cfg(feature = "cuda")]
#[cfg(test)]
mod test;

use crate::{Device, Error, Result, Tensor};

const NAME: &str = "sla_mask";

/// Tokens of a query block and of a key block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockSize {
    pub queries: usize,
    pub keys: usize,
}

/// The chosen key blocks of every query block of every head.
#[derive(Debug, Clone)]
pub struct BlockMap {
    /// `[heads, query blocks, k]` uint32, ascending in each row.
    pub chosen: Tensor,
    pub size: BlockSize,
}

impl BlockMap {
    /// Fails unless `q`, `k`, `v` `[tokens, heads · head dim]` are of one shape that this map is for.
    pub(crate) fn check(&self, operator: &'static str, [q, k, v]: [&Tensor; 3]) -> Result<()> {
        let [tokens, width] = q.axes(operator, "q")?;
        k.check(operator, "k", q.shape())?;
        v.check(operator, "v", q.shape())?;
        let [heads, query_blocks, count] = self.chosen.axes(operator, "map")?;
        let blocks_fit = query_blocks == tokens.div_ceil(self.size.queries);
        if blocks_fit && width.is_multiple_of(heads) && count > 0 {
            return Ok(());
        }
        Err(Error::argument(operator, format!("a map of {:?} for {tokens} tokens", self.chosen.shape())))
    }
}

/// Key blocks a query block attends to: `ratio` of them rounded down, but at least one and at most all.
pub fn chosen_count(ratio: f64, key_blocks: usize) -> usize {
    ((ratio * key_blocks as f64) as usize).min(key_blocks).max(1)
}

/// `q` `[queries, d]`, `k` `[keys, d]` with `heads` heads side by side. A last block may be partial; its mean is over
/// its own tokens. Equal scores prefer the lower index.
pub fn sla_mask(q: &Tensor, k: &Tensor, heads: usize, size: BlockSize, ratio: f64) -> Result<BlockMap> {
    let [_, width] = q.axes(NAME, "q")?;
    let [keys, _] = k.axes(NAME, "k")?;
    k.check(NAME, "k", &[keys, width])?;
    if heads == 0 || !width.is_multiple_of(heads) || size.queries == 0 || size.keys == 0 || keys == 0 {
        return Err(Error::argument(NAME, format!("{heads} heads of {width} channels in {size:?}")));
    }
    match q.device() {
        Device::Cpu => cpu::sla_mask(q, k, heads, size, ratio),
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => cuda::sla_mask(&device, q, k, heads, size, ratio),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_the_published_ones_and_never_zero() {
        let counts = |blocks| [chosen_count(0.1, blocks), chosen_count(0.15, blocks)];
        assert_eq!(counts(512), [51, 76]);
        assert_eq!(counts(1182), [118, 177]);
        assert_eq!(counts(591), [59, 88]);
        assert_eq!((chosen_count(0.1, 9), chosen_count(1.0, 9), chosen_count(2.0, 9)), (1, 9, 9));
    }
}
