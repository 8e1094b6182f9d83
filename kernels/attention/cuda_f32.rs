//! For networks that are too narrow to bear rounding: two products in float32 with a softmax between them, a head at a time.
//! As many queries at once as their scores have room for.

use super::{FLOAT_SCORES, NAME};
use crate::cuda::{Argument, Device, Grid, Matmul, Operand, empty, pointer};
use crate::{DType, Result, Tensor};

/// Elements on which the library wants rows to begin.
const ROW_GRAIN: usize = 4;

pub(super) fn attention(device: &Device, q: &Tensor, k: &Tensor, v: &Tensor, heads: usize) -> Result<Tensor> {
    let (queries, width, keys) = (q.dim(0), q.dim(1), k.dim(0));
    let head_length = width / heads;
    let row = keys.next_multiple_of(ROW_GRAIN);
    let at_once = (FLOAT_SCORES / (row * DType::F32.size())).clamp(1, queries.max(1));
    let out = empty(device, q.shape(), DType::F32)?;
    let scores = empty(device, &[at_once, row], DType::F32)?;
    let weights = Operand::of(NAME, &scores, DType::F32)?;
    let softmax = [pointer(NAME, &scores, DType::F32)?, Argument::int(keys), Argument::int(row)];
    for first in (0..queries).step_by(at_once) {
        let count = at_once.min(queries - first);
        for head in 0..heads {
            let part = |tensor: &Tensor, row: usize| -> Result<Operand> {
                Ok(Operand::of(NAME, tensor, DType::F32)?.from(row * width + head * head_length))
            };
            let product = Matmul {
                factor: 1.0 / (head_length as f32).sqrt(),
                ..Matmul::new([count, keys, head_length], part(q, first)?, part(k, 0)?, weights)
            };
            let (v, out) = (part(v, 0)?, part(&out, first)?);
            // SAFETY: scores hold `count` rows of `row`, of which `keys` are written and read; the others are rows of
            // `width`, `count` or `keys` of them, of which one head's columns are.
            unsafe {
                device.matmul(&product)?; // (queries, keys)
                device.launch("attention/kernel", "attention_softmax_f32", Grid::rows(count), &softmax)?;
                device.matmul(&Matmul {
                    w_is_kn: true,
                    ..Matmul::new([count, head_length, keys], weights, v, out)
                })?; // (queries, head dim)
            }
        }
    }
    Ok(out)
}
