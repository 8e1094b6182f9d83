//! Heads of 128 channels have a kernel of their own on Hopper. Head lengths of the published models run on the tensor cores; any
//! other up to 256 a warp a query. Float32 stays float32 (`cuda_f32.rs`).

use super::{NAME, cuda_f32};
use crate::cuda::{Argument, Device, FlashHopper, Grid, empty, pointer};
use crate::{DType, Error, Result, Tensor};

/// Bytes of shared memory for `queries` rows and two tiles each of keys and values, 64 rows long.
fn shared(head_length: usize, queries: usize) -> usize {
    2 * head_length * (queries + 4 * 64)
}

/// What the slow kernel keeps in registers.
const LONGEST_HEAD: usize = 256;

pub(super) fn attention(device: &Device, q: &Tensor, k: &Tensor, v: &Tensor, heads: usize) -> Result<Tensor> {
    if q.dtype() == DType::F32 {
        return cuda_f32::attention(device, q, k, v, heads);
    }
    let (queries, width, keys) = (q.dim(0), q.dim(1), k.dim(0));
    let head_length = width / heads;
    let out = empty(device, q.shape(), DType::BF16)?;
    let scale = Argument::F32(1.0 / (head_length as f32).sqrt());
    if let Some(flash) = FlashHopper::dense(device, head_length, keys) {
        let arguments = [
            FlashHopper::map(NAME, q)?,
            FlashHopper::map(NAME, k)?,
            FlashHopper::map(NAME, v)?,
            pointer(NAME, &out, DType::BF16)?,
            Argument::int(queries),
            Argument::int(keys),
            Argument::int(heads),
            scale,
        ];
        let function = match flash {
            FlashHopper::Queries128Keys192 => "attention_hopper_192",
            FlashHopper::Queries128Keys128 | FlashHopper::Queries64Keys64 => "attention_hopper_128",
        };
        let grid = flash.grid(device, queries, heads)?;
        // SAFETY: all are rows of `heads` times 128 bfloat16, `queries` or `keys` of them, as the maps say.
        unsafe { device.launch("attention/kernel_sm90", function, grid, &arguments)? };
        return Ok(out);
    }
    let arguments = [
        pointer(NAME, q, DType::BF16)?,
        pointer(NAME, k, DType::BF16)?,
        pointer(NAME, v, DType::BF16)?,
        pointer(NAME, &out, DType::BF16)?,
        Argument::int(queries),
        Argument::int(keys),
        Argument::int(width),
        Argument::int(head_length),
        scale,
    ];
    // Queries a block: 128 keeps eight warps on one tile of keys; with 64 channels four blocks fit a multiprocessor.
    let (function, block, threads, shared) = match head_length {
        128 => ("attention_128", 128, 256, shared(128, 128)),
        64 => ("attention_64", 64, 128, shared(64, 64)),
        1..=LONGEST_HEAD => ("attention_any", 4, 128, 0),
        _ => return Err(Error::argument(NAME, format!("heads of {head_length} channels"))),
    };
    let grid = Grid { blocks: (queries.div_ceil(block), heads, 1), threads, shared };
    // SAFETY: all are rows of `width` bfloat16, `queries` or `keys` of them.
    unsafe { device.launch("attention/kernel", function, grid, &arguments)? };
    Ok(out)
}
