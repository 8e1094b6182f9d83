//! The definition.

use crate::cpu::{Rows, attend};
use crate::{Result, Tensor};

pub(super) fn frame_attention(qkv: &Tensor) -> Result<Tensor> {
    let [frames, positions, stride] = qkv.axes(super::NAME, "qkv")?;
    let channels = stride / 3;
    let qkv = qkv.cpu(super::NAME)?;
    let mut out = vec![0.0; frames * positions * channels];
    for (values, out) in qkv.chunks_exact(positions * stride).zip(out.chunks_exact_mut(positions * channels))
    {
        let part = |index: usize| Rows { values, stride }.at(0, index * channels);
        attend(part(0), part(1), part(2), positions, 1, channels, out);
    }
    Tensor::from_cpu(out, &[frames, positions, channels])
}
