//! Heads of 128 channels in blocks of 128×64 and 64×128 run in 8 bits: one pass for what every channel needs, one that
//! quantises and takes the means of blocks along, the choice of blocks, the attention itself. Any other shape runs in
//! bfloat16, which lies closer to exact attention than the definition does.

use super::NAME;
use crate::cuda::{Argument, Device, Grid, empty, pointer};
use crate::sla_mask::cuda::{Pools, choose};
use crate::sla_mask::{BlockMap, BlockSize, sla_mask};
use crate::sparse_attention::sparse_attention;
use crate::{DType, Result, Tensor};

const IMAGE: &str = "sage_attention/kernel";
/// Channels of a head.
const HEAD: usize = 128;
/// Tokens one block of the first kernel adds up: enough blocks to fill a card at a few thousand tokens.
const CHUNK: usize = 256;
/// Channels a block of the first kernel takes, and of the one that adds up the chunks.
const CHANNELS: usize = 256;
const FOLDED: usize = 32;
/// Keys whose values a block of the quantising kernel turns.
const TURNED: usize = 128;
/// Generations with machine code of their own that multiplies e4m3; the PTX that others run has no such product.
const WITH_E4M3: [(i32, i32); 4] = [(8, 9), (9, 0), (10, 0), (12, 0)];
/// Upstream's blocks where Hopper's own products are used, and elsewhere.
const HOPPER_BLOCKS: BlockSize = BlockSize { queries: 64, keys: 128 };
const COMMON_BLOCKS: BlockSize = BlockSize { queries: 128, keys: 64 };
/// Thread blocks of Hopper's kernel that share a multiprocessor.
const RESIDENT: usize = 2;

/// Which kernel attends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Hopper,
    /// Weights and values in e4m3.
    Eight,
    /// Weights and values in bfloat16, as upstream keeps them in 16 bits where e4m3 cannot be multiplied.
    Sixteen,
}

impl Way {
    fn of(device: &Device, size: BlockSize) -> Result<Self> {
        let capability = device.capability()?;
        Ok(match (capability.major, capability.minor) {
            _ if device.hopper() && size == HOPPER_BLOCKS => Self::Hopper,
            generation if WITH_E4M3.contains(&generation) => Self::Eight,
            _ => Self::Sixteen,
        })
    }
}

/// The block sizes upstream uses on this device for a model of blocks of `size`.
pub(super) fn block_size(device: &Device, size: BlockSize) -> BlockSize {
    if device.hopper() && size == COMMON_BLOCKS { HOPPER_BLOCKS } else { size }
}

pub(super) fn sage_attention(
    device: &Device,
    [q, k, v]: [&Tensor; 3],
    heads: usize,
    size: BlockSize,
    ratio: f64,
) -> Result<Tensor> {
    if q.dim(1) != heads * HEAD || ![HOPPER_BLOCKS, COMMON_BLOCKS].contains(&size) {
        return sparse_attention(q, k, v, &sla_mask(q, k, heads, size, ratio)?);
    }
    let way = Way::of(device, size)?;
    let (operands, pools) = quantise(device, [q, k, v], size, way)?;
    let map = choose(device, &pools, heads, size, ratio)?;
    attend(device, &operands, v, &map, way)
}

/// What the attending kernels multiply, as `include/sage.cuh` has it.
pub(super) struct Operands {
    /// `[heads, blocks, tokens of a block, 128]`.
    q: Tensor,
    k: Tensor,
    /// `[heads, key blocks, 128, keys of a block]`, where values are multiplied in 8 bits.
    v: Option<Tensor>,
    /// `[heads, blocks]`.
    q_scales: Tensor,
    k_scales: Tensor,
    /// `[2, heads · 128]`: means of keys and scales of values.
    channels: Tensor,
}

pub(super) fn quantise(
    device: &Device,
    [q, k, v]: [&Tensor; 3],
    size: BlockSize,
    way: Way,
) -> Result<(Operands, Pools)> {
    let (tokens, width) = (q.dim(0), q.dim(1));
    let heads = width / HEAD;
    let (query_blocks, key_blocks) = (tokens.div_ceil(size.queries), tokens.div_ceil(size.keys));
    let channels = channels(device, k, v)?;
    let tiles = |blocks, block, dtype| empty(device, &[heads, blocks, block, HEAD], dtype);
    let floats = |shape: &[usize]| empty(device, shape, DType::F32);
    let operands = Operands {
        q: tiles(query_blocks, size.queries, DType::I8)?,
        k: tiles(key_blocks, size.keys, DType::I8)?,
        v: match way {
            Way::Hopper | Way::Eight => Some(tiles(key_blocks, size.keys, DType::F8E4M3)?),
            Way::Sixteen => None,
        },
        q_scales: floats(&[heads, query_blocks])?,
        k_scales: floats(&[heads, key_blocks])?,
        channels,
    };
    let pools = Pools { queries: floats(&[query_blocks, width])?, keys: floats(&[key_blocks, width])? };
    let arguments = [
        pointer(NAME, q, DType::BF16)?,
        pointer(NAME, k, DType::BF16)?,
        pointer(NAME, v, DType::BF16)?,
        pointer(NAME, &operands.channels, DType::F32)?,
        pointer(NAME, &operands.q, DType::I8)?,
        pointer(NAME, &operands.k, DType::I8)?,
        crate::cuda::optional(NAME, operands.v.as_ref(), DType::F8E4M3)?,
        pointer(NAME, &operands.q_scales, DType::F32)?,
        pointer(NAME, &operands.k_scales, DType::F32)?,
        pointer(NAME, &pools.queries, DType::F32)?,
        pointer(NAME, &pools.keys, DType::F32)?,
        Argument::int(tokens),
        Argument::int(width),
    ];
    let function = if size == HOPPER_BLOCKS { "sage_quantise_64x128" } else { "sage_quantise_128x64" };
    let value_blocks = if operands.v.is_some() { tokens.div_ceil(TURNED) } else { 0 };
    let grid = Grid { blocks: (query_blocks + key_blocks + value_blocks, heads, 1), ..Grid::rows(1) };
    // SAFETY: q, k, v are `[tokens, heads · 128]`; there are tiles, scales and means for all of their blocks, and blocks of
    // threads for the values only where there are tiles for them.
    unsafe { device.launch(IMAGE, function, grid, &arguments)? };
    Ok((operands, pools))
}

/// `[2, heads · 128]`.
fn channels(device: &Device, k: &Tensor, v: &Tensor) -> Result<Tensor> {
    let (tokens, width) = (k.dim(0), k.dim(1));
    let chunks = tokens.div_ceil(CHUNK);
    let partial = empty(device, &[2, chunks, width], DType::F32)?;
    let channels = empty(device, &[2, width], DType::F32)?;
    let part = [
        pointer(NAME, k, DType::BF16)?,
        pointer(NAME, v, DType::BF16)?,
        pointer(NAME, &partial, DType::F32)?,
        Argument::int(tokens),
        Argument::int(CHUNK),
        Argument::int(width),
    ];
    let whole = [
        pointer(NAME, &partial, DType::F32)?,
        pointer(NAME, &channels, DType::F32)?,
        Argument::int(tokens),
        Argument::int(chunks),
        Argument::int(width),
    ];
    // SAFETY: k and v are `[tokens, width]`, a whole number of 128 channels; a partial result is kept for every chunk.
    unsafe {
        let grid = Grid { blocks: (chunks, width.div_ceil(CHANNELS), 2), ..Grid::rows(1) };
        device.launch(IMAGE, "sage_channels_part", grid, &part)?;
        let grid = Grid { blocks: (width / FOLDED, 2, 1), ..Grid::rows(1) };
        device.launch(IMAGE, "sage_channels", grid, &whole)?;
    }
    Ok(channels)
}

/// `values` are those of the operands, before they were quantised.
pub(super) fn attend(
    device: &Device,
    operands: &Operands,
    values: &Tensor,
    map: &BlockMap,
    way: Way,
) -> Result<Tensor> {
    let (tokens, width) = (values.dim(0), values.dim(1));
    let (query_blocks, heads, size) = (operands.q.dim(1), operands.q.dim(0), map.size);
    let out = empty(device, values.shape(), DType::BF16)?;
    let channels = crate::cuda::address(NAME, &operands.channels, DType::F32)?;
    let scales_of_values = channels + (width * size_of::<f32>()) as u64;
    let eight = [
        pointer(NAME, &operands.q, DType::I8)?,
        pointer(NAME, &operands.k, DType::I8)?,
        crate::cuda::optional(NAME, operands.v.as_ref(), DType::F8E4M3)?,
        pointer(NAME, &operands.q_scales, DType::F32)?,
        pointer(NAME, &operands.k_scales, DType::F32)?,
        Argument::Pointer(scales_of_values),
    ];
    let sixteen = [pointer(NAME, values, DType::BF16)?];
    let rest = [
        pointer(NAME, &out, DType::BF16)?,
        pointer(NAME, &map.chosen, DType::U32)?,
        Argument::int(tokens),
        Argument::int(heads),
        Argument::int(map.chosen.dim(2)),
        Argument::F32(1.0 / (HEAD as f32).sqrt()),
    ];
    if way == Way::Hopper {
        // A tile of queries and two stages of keys and of values, which begin at 1024 bytes; two barriers for the queries,
        // four barriers and a note a stage.
        let shared = 1024 + HEAD * (size.queries + 4 * size.keys) + 8 * (2 + 5 * 2);
        let most = device.multiprocessors()? * RESIDENT;
        let grid = Grid { blocks: ((query_blocks * heads).min(most), 1, 1), threads: 256, shared };
        let arguments = [&eight[..], &rest].concat();
        // SAFETY: the operands are tiles of these blocks; the list names blocks of these tokens, in ascending order, for
        // every block of queries.
        unsafe {
            device.launch("sage_attention/kernel_sm90", "sage_attention_hopper", grid, &arguments)?;
        }
        return Ok(out);
    }
    let function = match (size == HOPPER_BLOCKS, way) {
        (true, Way::Sixteen) => "sage_attention_64x128_bf16",
        (true, _) => "sage_attention_64x128",
        (false, Way::Sixteen) => "sage_attention_128x64_bf16",
        (false, _) => "sage_attention_128x64",
    };
    let value_bytes = if way == Way::Sixteen { 2 } else { 1 };
    let shared = HEAD * (size.queries + 2 * size.keys * (1 + value_bytes));
    let grid = Grid { blocks: (query_blocks, heads, 1), threads: 2 * size.queries, shared };
    let arguments = [&eight[..], &sixteen, &rest].concat();
    // SAFETY: as above; the values are `[tokens, heads · 128]`.
    unsafe { device.launch(IMAGE, function, grid, &arguments)? };
    Ok(out)
}
