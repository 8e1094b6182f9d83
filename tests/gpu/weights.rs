//! Random weights of any shape, fast enough to fill a card: one random stretch, repeated.

use std::borrow::Cow;

use half::bf16;
use wanserve::engine::weights::{RawTensor, WeightError, WeightSource, WeightType};

pub(crate) struct RandomWeights;

/// Numbers made before they repeat.
const STRETCH: usize = 1 << 14;

impl WeightSource for RandomWeights {
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<RawTensor<'_>, WeightError> {
        let is_norm = name.contains("norm") || name.contains("gamma");
        let inputs = shape.iter().skip(1).product::<usize>().max(1) as f32;
        // Variance 1/inputs keeps activations near 1; a uniform number in −1..1 has a third.
        let reach = (3.0 / inputs).sqrt();
        let value = |uniform: f32| match (shape.len(), is_norm) {
            (_, true) => 1.0,
            (1, false) => 0.02 * uniform,
            _ => reach * uniform,
        };
        let stretch: Vec<u8> =
            uniform().take(STRETCH).flat_map(|v| bf16::from_f32(value(v)).to_le_bytes()).collect();
        let bytes = shape.iter().product::<usize>() * 2;
        let mut data = Vec::with_capacity(bytes);
        while data.len() < bytes {
            data.extend_from_slice(&stretch[..stretch.len().min(bytes - data.len())]);
        }
        Ok(RawTensor { dtype: WeightType::BF16, shape: shape.to_vec(), data: Cow::Owned(data) })
    }

    fn contains(&self, name: &str) -> bool {
        !name.contains("int8_weight")
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Numbers in −1..1 without end, the same every time.
pub(crate) fn uniform() -> impl Iterator<Item = f32> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    std::iter::repeat_with(move || {
        // The linear congruential step of Knuth's MMIX; the high bits are good.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    })
}
