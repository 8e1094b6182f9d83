//! Keys after the last word are never visited; padding in between is masked.

use super::NAME;
use crate::cuda::{Argument, Buffer, Device, Grid, empty, float_format, pointer};
use crate::position_bias::PositionBias;
use crate::{DType, Error, Result, Tensor};

/// 64 queries, and two tiles each of 64 keys and values, of 64 channels.
const SHARED: usize = 2 * 64 * (64 + 4 * 64);
/// What the slow kernel keeps in registers.
const LONGEST_HEAD: usize = 256;

pub(super) fn text_attention(
    device: &Device,
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    bias: &PositionBias,
    is_text: &[bool],
) -> Result<Tensor> {
    let (positions, width, heads) = (q.dim(0), q.dim(1), bias.by_distance.dim(0));
    let head_length = width / heads;
    let keys = is_text.iter().rposition(|&text| text).map_or(0, |last| last + 1);
    let with_gaps = is_text[..keys].contains(&false);
    let mask: Vec<u8> = is_text.iter().map(|&text| u8::from(text)).collect();
    let mask = with_gaps.then(|| Buffer::from_bytes(device, &mask)).transpose()?;
    let dtype = float_format(q);
    let out = empty(device, q.shape(), dtype)?;
    let arguments = [
        pointer(NAME, q, dtype)?,
        pointer(NAME, k, dtype)?,
        pointer(NAME, v, dtype)?,
        pointer(NAME, &out, dtype)?,
        pointer(NAME, &bias.by_distance, DType::F32)?,
        Argument::Pointer(mask.as_ref().map_or(0, Buffer::address)),
        Argument::int(positions),
        Argument::int(keys),
        Argument::int(width),
        Argument::int(head_length),
    ];
    let (function, block, shared) = match head_length {
        1..=LONGEST_HEAD if dtype == DType::F32 => ("text_attention_f32", 4, 0),
        64 => ("text_attention_64", 64, SHARED),
        1..=LONGEST_HEAD => ("text_attention_any", 4, 0),
        _ => return Err(Error::argument(NAME, format!("heads of {head_length} channels"))),
    };
    let grid = Grid { blocks: (positions.div_ceil(block), heads, 1), threads: 128, shared };
    // SAFETY: q, k, v and out are `[positions, width]`, the bias `[heads, 2·positions − 1]`, the mask a byte a key.
    unsafe { device.launch("text_attention/kernel", function, grid, &arguments)? };
    Ok(out)
}
