//! The means of blocks, then scores and choice of a few query blocks a thread block.

use super::{BlockMap, BlockSize, NAME, chosen_count};
use crate::cuda::{Argument, Device, Grid, empty, pointer};
use crate::{DType, Error, Result, Tensor};

const IMAGE: &str = "sla_mask/kernel";
/// Threads, and channels a block takes.
const CHANNELS: usize = 256;
/// Channels a block of the centring kernel takes.
const CENTRED: usize = 32;
/// Most key blocks whose scores fit in shared memory.
const MOST_KEY_BLOCKS: usize = 4096;
/// Query blocks of one head that a thread block takes.
const TOGETHER: usize = 8;
/// A row of scores in shared memory is whole stretches.
const STRETCH: usize = 256;

/// The means of blocks of queries and of centred keys, `[blocks, heads · head dim]` float32.
pub(crate) struct Pools {
    pub(crate) queries: Tensor,
    pub(crate) keys: Tensor,
}

pub(super) fn sla_mask(
    device: &Device,
    q: &Tensor,
    k: &Tensor,
    heads: usize,
    size: BlockSize,
    ratio: f64,
) -> Result<BlockMap> {
    let (tokens, width) = (k.dim(0), k.dim(1));
    let pools = Pools { queries: pool(device, q, size.queries)?, keys: pool(device, k, size.keys)? };
    let arguments = [
        pointer(NAME, &pools.keys, DType::F32)?,
        Argument::int(tokens),
        Argument::int(size.keys),
        Argument::int(pools.keys.dim(0)),
        Argument::int(width),
    ];
    // SAFETY: the means of all blocks of `size.keys` of these tokens.
    unsafe { device.launch(IMAGE, "sla_mask_centre", Grid::rows(width.div_ceil(CENTRED)), &arguments)? };
    choose(device, &pools, heads, size, ratio)
}

fn pool(device: &Device, x: &Tensor, block: usize) -> Result<Tensor> {
    let (tokens, width) = (x.dim(0), x.dim(1));
    let blocks = tokens.div_ceil(block);
    let pooled = empty(device, &[blocks, width], DType::F32)?;
    let arguments = [
        pointer(NAME, x, DType::BF16)?,
        pointer(NAME, &pooled, DType::F32)?,
        Argument::int(tokens),
        Argument::int(block),
        Argument::int(width),
    ];
    let grid = Grid { blocks: (blocks, width.div_ceil(CHANNELS), 1), ..Grid::rows(1) };
    // SAFETY: x is `[tokens, width]`, pooled `[blocks, width]`.
    unsafe { device.launch(IMAGE, "sla_mask_pool", grid, &arguments)? };
    Ok(pooled)
}

/// The key blocks with the highest scores.
pub(crate) fn choose(
    device: &Device,
    pools: &Pools,
    heads: usize,
    size: BlockSize,
    ratio: f64,
) -> Result<BlockMap> {
    let (query_blocks, key_blocks, width) = (pools.queries.dim(0), pools.keys.dim(0), pools.keys.dim(1));
    if key_blocks > MOST_KEY_BLOCKS {
        return Err(Error::argument(NAME, format!("{key_blocks} key blocks, more than {MOST_KEY_BLOCKS}")));
    }
    let (count, slots) = (chosen_count(ratio, key_blocks), key_blocks.next_multiple_of(STRETCH));
    let chosen = empty(device, &[heads, query_blocks, count], DType::U32)?;
    let arguments = [
        pointer(NAME, &pools.queries, DType::F32)?,
        pointer(NAME, &pools.keys, DType::F32)?,
        pointer(NAME, &chosen, DType::U32)?,
        Argument::int(query_blocks),
        Argument::int(key_blocks),
        Argument::int(slots),
        Argument::int(count),
        Argument::int(width),
        Argument::int(width / heads),
    ];
    let function = if width / heads == 128 { "sla_mask_choose_128" } else { "sla_mask_choose" };
    let blocks = (query_blocks.div_ceil(TOGETHER), heads, 1);
    let grid = Grid { blocks, shared: TOGETHER * slots * size_of::<u32>(), ..Grid::rows(1) };
    // SAFETY: the pools are `[blocks, width]`; shared memory holds `slots` scores for each of the query blocks taken
    // together; count ≤ key blocks ≤ slots.
    unsafe { device.launch(IMAGE, function, grid, &arguments)? };
    Ok(BlockMap { chosen, size })
}
