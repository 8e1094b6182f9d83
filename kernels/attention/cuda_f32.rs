//! For networks that are too narrow to bear rounding: two products in float32, all heads at once, with a softmax between them.
//! As many queries at a time as their scores have room for.

use super::{FLOAT_SCORES, NAME};
use crate::cuda::{Argument, Device, Epilogue, Grid, Matmul, Operand, address, empty, pointer};
use crate::{DType, Result, Tensor};

/// Elements on which the library wants rows to begin.
const ROW_GRAIN: usize = 4;

pub(super) fn attention(device: &Device, q: &Tensor, k: &Tensor, v: &Tensor, heads: usize) -> Result<Tensor> {
    let (queries, width, keys) = (q.dim(0), q.dim(1), k.dim(0));
    let head_length = width / heads;
    let row = keys.next_multiple_of(ROW_GRAIN);
    let at_once = (FLOAT_SCORES / (heads * row * DType::F32.size())).clamp(1, queries.max(1));
    let out = empty(device, q.shape(), DType::F32)?;
    let scores = empty(device, &[heads, at_once, row], DType::F32)?;
    let side_by_side = |tensor: &Tensor| -> Result<Operand> {
        Ok(Operand { address: address(NAME, tensor, DType::F32)?, row: width, batch: head_length })
    };
    for first in (0..queries).step_by(at_once) {
        let count = at_once.min(queries - first);
        let weights = Operand { address: address(NAME, &scores, DType::F32)?, row, batch: count * row };
        let product = Matmul {
            m: count,
            n: keys,
            k: head_length,
            batches: heads,
            x: side_by_side(&q.rows(first..first + count)?)?,
            w: side_by_side(k)?,
            w_is_kn: false,
            out: weights,
            input: DType::F32,
            output: DType::F32,
            bias: 0,
            residual: 0,
            epilogue: Epilogue::Plain,
            factor: 1.0 / (head_length as f32).sqrt(),
            scales: None,
        };
        let softmax = [pointer(NAME, &scores, DType::F32)?, Argument::int(keys), Argument::int(row)];
        // SAFETY: scores hold `count` rows of `row` for every head, of which `keys` are written and read; the others are
        // rows of `width`, `count` or `keys` of them.
        unsafe {
            device.matmul(&product)?; // (heads, queries, keys)
            device.launch(
                "attention/kernel",
                "attention_softmax_f32",
                Grid::rows(heads * count),
                &softmax,
            )?;
            device.matmul(&Matmul {
                n: head_length,
                k: keys,
                x: weights,
                w: side_by_side(v)?,
                w_is_kn: true,
                out: side_by_side(&out.rows(first..first + count)?)?,
                factor: 1.0,
                ..product
            })?; // (queries, heads · head dim)
        }
    }
    Ok(out)
}
