//! Three kernels: partial sums over chunks of tokens, one folded matrix a head, and the pass that adds to the sparse
//! branch. Heads of 128 channels only, as all published models have.

use super::{NAME, SlaLinear};
use crate::cuda::{Argument, Device, Grid, cast, empty, pointer};
use crate::{DType, Error, Result, Tensor};

const HEAD: usize = 128;
/// Tokens of one tile of the summing kernels; chunks are whole tiles.
const TILE: usize = 64;
/// Tiles in shared memory: maps and, twice, values; on Hopper two and three.
const TILES: usize = 3;
const TILES_ON_HOPPER: usize = 5;
/// Blocks that keep every multiprocessor of the largest card busy twice over; more chunks cost memory.
const BLOCKS_WANTED: usize = 264;
/// Rows of a head's matrix that a block of the folding kernel takes.
const FOLD_ROWS: usize = 4;
/// Tokens a block of the last kernel takes.
const APPLY_TOKENS: usize = 128;

pub(super) fn sla_linear(device: &Device, branch: &SlaLinear) -> Result<Tensor> {
    let (tokens, width) = (branch.q.dim(0), branch.q.dim(1));
    if branch.bias.dim(0) != HEAD {
        let what = format!("heads of {} channels, this backend has {HEAD}", branch.bias.dim(0));
        return Err(Error::argument(NAME, what));
    }
    let heads = width / HEAD;
    let chunk = (tokens * heads).div_ceil(BLOCKS_WANTED).next_multiple_of(TILE).max(TILE);
    let chunks = tokens.div_ceil(chunk);
    let partial = empty(device, &[heads, chunks, HEAD, HEAD], DType::F32)?;
    let sums = empty(device, &[heads, chunks, HEAD], DType::F32)?;
    let folded = empty(device, &[heads, HEAD, HEAD], DType::BF16)?;
    let totals = empty(device, &[heads, HEAD], DType::F32)?;
    let out = empty(device, branch.q.shape(), DType::BF16)?;
    let weight = cast(NAME, branch.weight, DType::BF16)?;
    let bias = cast(NAME, branch.bias, DType::F32)?;
    let sum = [
        pointer(NAME, branch.k, DType::BF16)?,
        pointer(NAME, branch.v, DType::BF16)?,
        pointer(NAME, &partial, DType::F32)?,
        pointer(NAME, &sums, DType::F32)?,
        Argument::int(tokens),
        Argument::int(chunk),
        Argument::int(width),
    ];
    let fold = [
        pointer(NAME, &partial, DType::F32)?,
        pointer(NAME, &sums, DType::F32)?,
        pointer(NAME, &weight, DType::BF16)?,
        pointer(NAME, &folded, DType::BF16)?,
        pointer(NAME, &totals, DType::F32)?,
        Argument::int(chunks),
    ];
    let apply = [
        pointer(NAME, branch.q, DType::BF16)?,
        pointer(NAME, branch.sparse, DType::BF16)?,
        pointer(NAME, &folded, DType::BF16)?,
        pointer(NAME, &totals, DType::F32)?,
        pointer(NAME, &bias, DType::F32)?,
        pointer(NAME, &out, DType::BF16)?,
        Argument::int(tokens),
        Argument::int(width),
    ];
    let tiles = |rows: usize| 2 * HEAD * rows;
    // SAFETY: tokens are rows of `heads` heads; the buffers between the kernels have the shapes their heads describe.
    unsafe {
        let grid = Grid { blocks: (chunks, heads, 1), threads: 256, shared: tiles(TILES * TILE) };
        if device.hopper() {
            // Tiles begin at 1024 bytes; as many of ones follow them.
            let grid = Grid { shared: 2 * 1024 + tiles(TILES_ON_HOPPER * TILE), ..grid };
            device.launch("sla_linear/kernel_sm90", "sla_linear_sum_hopper", grid, &sum)?;
        } else {
            device.launch(IMAGE, "sla_linear_sum", grid, &sum)?;
        }
        let grid = Grid { blocks: (HEAD / FOLD_ROWS, heads, 1), threads: 128, shared: 0 };
        device.launch(IMAGE, "sla_linear_fold", grid, &fold)?;
        let blocks = (tokens.div_ceil(APPLY_TOKENS), heads, 1);
        let grid = Grid { blocks, threads: 256, shared: tiles(APPLY_TOKENS + HEAD) };
        device.launch(IMAGE, "sla_linear_apply", grid, &apply)?;
    }
    Ok(out)
}

const IMAGE: &str = "sla_linear/kernel";
