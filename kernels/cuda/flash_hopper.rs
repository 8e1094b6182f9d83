//! What dense and sparse attention share on Hopper: the kernels of `include/flash_hopper.cuh`, for heads of 128 channels.

use super::{Argument, BoxRow, Device, Grid, TensorMap, address};
use crate::{DType, Result, Tensor};

/// Rows and columns of one box; the kernels copy tiles in these.
const BOX: usize = 64;
/// Bytes of a token's channels of one head.
const TOKEN: usize = 2 * FlashHopper::HEAD;
/// Steps of keys and of values that are in shared memory at a time.
const STAGES: usize = 2;

/// A variant of the kernel: queries a block and keys a step.
#[derive(Debug, Clone, Copy)]
pub(crate) enum FlashHopper {
    /// One block a multiprocessor.
    Queries128Keys192,
    /// The same, for few keys.
    Queries128Keys128,
    /// Two blocks a multiprocessor.
    Queries64Keys64,
}

impl FlashHopper {
    /// Channels of a head.
    pub(crate) const HEAD: usize = 128;

    /// The variant for blocks of so many queries with keys of their own, on a device that has one.
    pub(crate) fn sparse(device: &Device, head: usize, queries: usize) -> Option<Self> {
        match queries {
            _ if !device.hopper() || head != Self::HEAD => None,
            128 => Some(Self::Queries128Keys192),
            64 => Some(Self::Queries64Keys64),
            _ => None,
        }
    }

    /// The variant for queries that all see the same `keys`. A step of 192 takes a 24th less time for each key, those past the
    /// last one included.
    pub(crate) fn dense(device: &Device, head: usize, keys: usize) -> Option<Self> {
        let few = keys.next_multiple_of(192) * 23 > keys.next_multiple_of(128) * 24;
        let variant = if few { Self::Queries128Keys128 } else { Self::Queries128Keys192 };
        (device.hopper() && head == Self::HEAD).then_some(variant)
    }

    /// Thread blocks that walk over all blocks of `queries` rows and all heads.
    pub(crate) fn grid(self, device: &Device, queries: usize, heads: usize) -> Result<Grid> {
        let (block, step, resident) = match self {
            Self::Queries128Keys192 => (128, 192, 1),
            Self::Queries128Keys128 => (128, 128, 1),
            Self::Queries64Keys64 => (64, 64, 2),
        };
        let blocks = queries.div_ceil(block) * heads;
        // One warpgroup a 64 queries and one that feeds them; tiles begin at 1024 bytes; two barriers for the queries and
        // four a stage.
        let shared = 1024 + block * TOKEN + 2 * STAGES * step * TOKEN + 8 * (2 + 4 * STAGES);
        let most = device.multiprocessors()? * resident;
        Ok(Grid { blocks: (blocks.min(most), 1, 1), threads: 2 * block + 128, shared })
    }

    /// `tensor` `[tokens, heads · 128]` as the kernels' copies see it.
    pub(crate) fn map(operator: &'static str, tensor: &Tensor) -> Result<Argument> {
        let extents = [tensor.dim(1), tensor.dim(0)];
        let address = address(operator, tensor, DType::BF16)?;
        Ok(Argument::Map(TensorMap::new(address, extents, [BOX, BOX], [1, 1], BoxRow::Bytes128)?))
    }
}
