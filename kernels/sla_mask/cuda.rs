//! The mean of the keys, the means of blocks, then scores and choice of a few query blocks a thread block.

use super::{BlockMap, BlockSize, NAME, chosen_count};
use crate::cuda::{Argument, Device, Grid, empty, pointer};
use crate::{DType, Error, Result, Tensor};

/// Tokens one block adds up for the mean: enough blocks to fill a card at a few thousand tokens.
const MEAN_CHUNK: usize = 256;
/// Threads, and channels a block takes.
const CHANNELS: usize = 256;
/// Most key blocks that can be sorted in shared memory.
const MOST_KEY_BLOCKS: usize = 4096;

/// Query blocks of one head that a thread block takes, as long as their keys stay within 64 KiB of shared memory.
const TOGETHER: usize = 4;
const MOST_SLOTS_TOGETHER: usize = 2048;

pub(super) fn sla_mask(
    device: &Device,
    q: &Tensor,
    k: &Tensor,
    heads: usize,
    size: BlockSize,
    ratio: f64,
) -> Result<BlockMap> {
    let (queries, keys, width) = (q.dim(0), k.dim(0), q.dim(1));
    let (query_blocks, key_blocks) = (queries.div_ceil(size.queries), keys.div_ceil(size.keys));
    if key_blocks > MOST_KEY_BLOCKS {
        return Err(Error::argument(NAME, format!("{key_blocks} key blocks, more than {MOST_KEY_BLOCKS}")));
    }
    let mean = mean(device, k)?; // (d)
    let pooled_q = pool(device, q, None, size.queries)?; // (query blocks, d)
    let pooled_k = pool(device, k, Some(&mean), size.keys)?; // (key blocks, d)
    let (count, slots) = (chosen_count(ratio, key_blocks), key_blocks.next_power_of_two().max(2));
    let chosen = empty(device, &[heads, query_blocks, count], DType::U32)?;
    let arguments = [
        pointer(NAME, &pooled_q, DType::BF16)?,
        pointer(NAME, &pooled_k, DType::BF16)?,
        pointer(NAME, &chosen, DType::U32)?,
        Argument::int(query_blocks),
        Argument::int(key_blocks),
        Argument::int(slots),
        Argument::int(count),
        Argument::int(width),
        Argument::int(width / heads),
    ];
    let (function, together) = match width / heads {
        128 if slots <= MOST_SLOTS_TOGETHER => ("sla_mask_top_128", TOGETHER),
        _ => ("sla_mask_top", 1),
    };
    let blocks = (query_blocks.div_ceil(together), heads, 1);
    let grid = Grid { blocks, shared: together * slots * size_of::<u64>(), ..Grid::rows(1) };
    // SAFETY: the pools are `[blocks, width]` bfloat16; shared memory holds `slots` keys for each of the query blocks taken
    // together; count ≤ key blocks ≤ slots.
    unsafe { device.launch(IMAGE, function, grid, &arguments)? };
    Ok(BlockMap { chosen, size })
}

const IMAGE: &str = "sla_mask/kernel";

fn mean(device: &Device, x: &Tensor) -> Result<Tensor> {
    let (tokens, width) = (x.dim(0), x.dim(1));
    let chunks = tokens.div_ceil(MEAN_CHUNK);
    let partial = empty(device, &[chunks, width], DType::F32)?;
    let mean = empty(device, &[width], DType::F32)?;
    let columns = width.div_ceil(CHANNELS);
    let part = [
        pointer(NAME, x, DType::BF16)?,
        pointer(NAME, &partial, DType::F32)?,
        Argument::int(tokens),
        Argument::int(MEAN_CHUNK),
        Argument::int(width),
    ];
    let whole = [
        pointer(NAME, &partial, DType::F32)?,
        pointer(NAME, &mean, DType::F32)?,
        Argument::int(tokens),
        Argument::int(chunks),
        Argument::int(width),
    ];
    // SAFETY: x is `[tokens, width]`; a partial sum is kept for every chunk and channel.
    unsafe {
        let grid = Grid { blocks: (chunks, columns, 1), ..Grid::rows(1) };
        device.launch(IMAGE, "sla_mask_mean_part", grid, &part)?;
        device.launch(IMAGE, "sla_mask_mean", Grid::rows(columns), &whole)?;
    }
    Ok(mean)
}

fn pool(device: &Device, x: &Tensor, mean: Option<&Tensor>, block: usize) -> Result<Tensor> {
    let (tokens, width) = (x.dim(0), x.dim(1));
    let blocks = tokens.div_ceil(block);
    let pooled = empty(device, &[blocks, width], DType::BF16)?;
    let arguments = [
        pointer(NAME, x, DType::BF16)?,
        crate::cuda::optional(NAME, mean, DType::F32)?,
        pointer(NAME, &pooled, DType::BF16)?,
        Argument::int(tokens),
        Argument::int(block),
        Argument::int(width),
    ];
    let grid = Grid { blocks: (blocks, width.div_ceil(CHANNELS), 1), ..Grid::rows(1) };
    // SAFETY: x is `[tokens, width]`, pooled `[blocks, width]` bfloat16, the mean `[width]`.
    unsafe { device.launch(IMAGE, "sla_mask_pool", grid, &arguments)? };
    Ok(pooled)
}
