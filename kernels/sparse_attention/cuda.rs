//! The published block sizes run on the tensor cores, on Hopper by kernels of their own; any other sizes and head lengths a warp a query.

use super::NAME;
use crate::cuda::{Argument, Device, FlashHopper, Grid, empty, pointer};
use crate::sla_mask::BlockMap;
use crate::{DType, Error, Result, Tensor};

/// Keys a step of the fast kernels; a block of keys must be whole steps.
const KEY_TILE: usize = 64;
/// What the slow kernel keeps in registers.
const LONGEST_HEAD: usize = 256;

/// Whether the kernels of Hopper take blocks of so many keys. They look for the end of the keys in their last step only, so
/// that the last block must not end in the first half of two.
fn takes_keys(keys: usize, tokens: usize) -> bool {
    keys == KEY_TILE || keys == 2 * KEY_TILE && !(1..KEY_TILE).contains(&(tokens % keys))
}

pub(super) fn sparse_attention(
    device: &Device,
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    map: &BlockMap,
) -> Result<Tensor> {
    let (tokens, width) = (q.dim(0), q.dim(1));
    let [heads, query_blocks, count] = map.chosen.axes(NAME, "map")?;
    let head_length = width / heads;
    let out = empty(device, q.shape(), DType::BF16)?;
    let scale = Argument::F32(1.0 / (head_length as f32).sqrt());
    let flash = FlashHopper::sparse(device, head_length, map.size.queries);
    if let Some(flash) = flash.filter(|_| takes_keys(map.size.keys, tokens)) {
        let arguments = [
            FlashHopper::map(NAME, q)?,
            FlashHopper::map(NAME, k)?,
            FlashHopper::map(NAME, v)?,
            pointer(NAME, &out, DType::BF16)?,
            pointer(NAME, &map.chosen, DType::U32)?,
            Argument::int(count),
            Argument::int(map.size.keys),
            Argument::int(tokens),
            Argument::int(heads),
            scale,
        ];
        let function = match flash {
            FlashHopper::Queries128Keys192 | FlashHopper::Queries128Keys128 => "sparse_attention_hopper_128",
            FlashHopper::Queries64Keys64 => "sparse_attention_hopper_64",
        };
        let grid = flash.grid(device, tokens, heads)?;
        // SAFETY: all are rows of `heads` times 128 bfloat16, as the maps say; the list names blocks of these tokens, in
        // ascending order, for every block of queries.
        unsafe { device.launch("sparse_attention/kernel_sm90", function, grid, &arguments)? };
        return Ok(out);
    }
    let arguments = [
        pointer(NAME, q, DType::BF16)?,
        pointer(NAME, k, DType::BF16)?,
        pointer(NAME, v, DType::BF16)?,
        pointer(NAME, &out, DType::BF16)?,
        pointer(NAME, &map.chosen, DType::U32)?,
        Argument::int(count),
        Argument::int(map.size.queries),
        Argument::int(map.size.keys),
        Argument::int(tokens),
        Argument::int(tokens),
        Argument::int(width),
        Argument::int(head_length),
        scale,
    ];
    let shared = |queries: usize| 2 * 128 * (queries + 4 * KEY_TILE);
    let whole_tiles = map.size.keys.is_multiple_of(KEY_TILE);
    let (function, blocks, threads, shared) = match (head_length, map.size.queries) {
        (128, 128) if whole_tiles => ("sparse_attention_128x128", query_blocks, 256, shared(128)),
        (128, 64) if whole_tiles => ("sparse_attention_128x64", query_blocks, 128, shared(64)),
        (1..=LONGEST_HEAD, _) => ("sparse_attention_any", tokens.div_ceil(4), 128, 0),
        _ => return Err(Error::argument(NAME, format!("heads of {head_length} channels"))),
    };
    let grid = Grid { blocks: (blocks, heads, 1), threads, shared };
    // SAFETY: all are rows of `width` bfloat16; the map names blocks of these tokens for every block of queries.
    unsafe { device.launch("sparse_attention/kernel", function, grid, &arguments)? };
    Ok(out)
}
