//! Two matrix products a frame with a softmax between them: one head of 384 channels is too long for a fused kernel's
//! registers, and a frame's scores fit memory. Frames go one after another, so only one set of scores is held.

use super::NAME;
use crate::cuda::{Argument, Device, Epilogue, Grid, Matmul, Operand, address, empty, pointer};
use crate::{DType, Result, Tensor};

/// Elements on which the library wants rows to begin.
const ROW_GRAIN: usize = 8;

pub(super) fn frame_attention(device: &Device, qkv: &Tensor) -> Result<Tensor> {
    let [frames, positions, stride] = qkv.axes(NAME, "qkv")?;
    let channels = stride / 3;
    let row = positions.next_multiple_of(ROW_GRAIN);
    let out = empty(device, &[frames, positions, channels], DType::BF16)?;
    let scores = empty(device, &[positions, row], DType::F32)?;
    let weights = empty(device, &[positions, row], DType::BF16)?;
    let scores_at = address(NAME, &scores, DType::F32)?;
    let weights_at = address(NAME, &weights, DType::BF16)?;
    let softmax = [
        pointer(NAME, &scores, DType::F32)?,
        pointer(NAME, &weights, DType::BF16)?,
        Argument::int(positions),
        Argument::int(row),
        Argument::F32(1.0 / (channels as f32).sqrt()),
    ];
    let part = |frame: usize, index: usize| -> Result<Operand> {
        let first = (frame * positions * stride + index * channels) * DType::BF16.size();
        Ok(Operand { address: address(NAME, qkv, DType::BF16)? + first as u64, row: stride, batch: 0 })
    };
    for frame in 0..frames {
        let product = Matmul {
            m: positions,
            n: positions,
            k: channels,
            batches: 1,
            x: part(frame, 0)?,
            w: part(frame, 1)?,
            w_is_kn: false,
            out: Operand { address: scores_at, row, batch: 0 },
            input: DType::BF16,
            output: DType::F32,
            bias: 0,
            residual: 0,
            epilogue: Epilogue::Plain,
            factor: 1.0,
            scales: None,
        };
        let first = frame * positions * channels * DType::BF16.size();
        let to = address(NAME, &out, DType::BF16)? + first as u64;
        // SAFETY: scores and weights hold `positions` rows of `row`; the parts lie inside qkv, the frame inside out.
        unsafe {
            device.matmul(&product)?; // (queries, keys)
            device.launch(
                "frame_attention/kernel",
                "frame_attention_softmax",
                Grid::rows(positions),
                &softmax,
            )?;
            device.matmul(&Matmul {
                n: channels,
                k: positions,
                x: Operand { address: weights_at, row, batch: 0 },
                w: part(frame, 2)?,
                w_is_kn: true,
                out: Operand { address: to, row: channels, batch: 0 },
                output: DType::BF16,
                ..product
            })?; // (positions, channels)
        }
    }
    Ok(out)
}
