//! The definition.

use super::{NAME, RopeTable};
use crate::cpu::{for_each_row, mean_square};
use crate::{Result, Tensor};

pub(super) fn rms_norm_rope(
    x: &Tensor,
    weight: &Tensor,
    epsilon: f32,
    rope: Option<&RopeTable>,
) -> Result<Tensor> {
    let weight = weight.cpu(NAME)?;
    let rope =
        rope.map(|rope| Ok::<_, crate::Error>((rope.cos.cpu(NAME)?, rope.sin.cpu(NAME)?))).transpose()?;
    let rope: Option<(&[f32], &[f32])> = rope.as_ref().map(|(cos, sin)| (&**cos, &**sin));
    let (tokens, width) = (x.dim(0), x.dim(1));
    let mut out = x.to_f32()?;
    for_each_row(&mut out, width, |token, row| {
        let inverse = 1.0 / (mean_square(row, 0.0) + epsilon).sqrt();
        row.iter_mut().zip(weight.iter()).for_each(|(value, weight)| *value *= inverse * weight);
        if let Some((cos, sin)) = rope {
            let pairs = cos.len() / tokens;
            let (cos, sin) = (&cos[token * pairs..][..pairs], &sin[token * pairs..][..pairs]);
            for head in row.chunks_exact_mut(2 * pairs) {
                for ((pair, cos), sin) in head.as_chunks_mut::<2>().0.iter_mut().zip(cos).zip(sin) {
                    *pair = [pair[0] * cos - pair[1] * sin, pair[1] * cos + pair[0] * sin];
                }
            }
        }
    });
    Tensor::from_cpu(out, x.shape())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Device;

    #[test]
    fn a_rotation_keeps_lengths_and_leaves_position_zero() {
        let rope = RopeTable::new([2, 2, 2], 16, &Device::Cpu).unwrap();
        let x = Tensor::from_cpu((0..8 * 32).map(|v| (v % 13) as f32 - 5.0).collect(), &[8, 32]).unwrap();
        let weight = Tensor::from_cpu(vec![1.0; 32], &[32]).unwrap();
        let plain = rms_norm_rope(&x, &weight, 1e-6, None).unwrap().to_f32().unwrap();
        let turned = rms_norm_rope(&x, &weight, 1e-6, Some(&rope)).unwrap().to_f32().unwrap();
        assert_eq!(plain[..32], turned[..32]);
        assert_ne!(plain[32..], turned[32..]);
        for (plain, turned) in plain.as_chunks::<2>().0.iter().zip(turned.as_chunks::<2>().0) {
            assert!((plain[0].hypot(plain[1]) - turned[0].hypot(turned[1])).abs() < 1e-5);
        }
    }
}
