//! Two matrix products a frame with a softmax between them: one head of 384 channels is too long for a fused kernel's
//! registers, and a frame's scores fit memory. Frames go one after another, so only one set of scores is held.

use super::NAME;
use crate::cuda::{Argument, Device, Grid, Matmul, Operand, empty, pointer};
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
    let operand = |tensor: &Tensor, dtype| Operand::of(NAME, tensor, dtype);
    let (scores_matrix, weights_matrix) = (operand(&scores, DType::F32)?, operand(&weights, DType::BF16)?);
    let softmax = [
        pointer(NAME, &scores, DType::F32)?,
        pointer(NAME, &weights, DType::BF16)?,
        Argument::int(positions),
        Argument::int(row),
        Argument::F32(1.0 / (channels as f32).sqrt()),
    ];
    let part = |frame: usize, index: usize| -> Result<Operand> {
        Ok(operand(qkv, DType::BF16)?.from(frame * positions * stride + index * channels))
    };
    for frame in 0..frames {
        let (q, k, v) = (part(frame, 0)?, part(frame, 1)?, part(frame, 2)?);
        let out = operand(&out, DType::BF16)?.from(frame * positions * channels);
        // SAFETY: scores and weights hold `positions` rows of `row`; the parts lie inside qkv, the frame inside out.
        unsafe {
            device.matmul(&Matmul::new([positions, positions, channels], q, k, scores_matrix))?; // (queries, keys)
            device.launch(
                "frame_attention/kernel",
                "frame_attention_softmax",
                Grid::rows(positions),
                &softmax,
            )?;
            device.matmul(&Matmul {
                w_is_kn: true,
                ..Matmul::new([positions, channels, positions], weights_matrix, v, out)
            })?; // (positions, channels)
        }
    }
    Ok(out)
}
