//! Random weights of any shape, fast enough to fill a card: one random stretch, repeated.

use std::borrow::Cow;
use std::sync::Mutex;

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
        let bytes = shape.iter().product::<usize>() * 2;
        let data = match (shape.len(), is_norm) {
            (_, true) => repeated(bytes, 0.0, 1.0),
            (1, false) => repeated(bytes, 0.02, 0.0),
            _ => repeated(bytes, reach, 0.0),
        };
        Ok(RawTensor { dtype: WeightType::BF16, shape: shape.to_vec(), data: Cow::Borrowed(data) })
    }

    fn contains(&self, name: &str) -> bool {
        !name.contains("int8_weight")
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// `bytes` of bfloat16 around `middle`, at most `reach` from it. Made once for each such pair and kept: a host takes longer
/// to write a network's numbers than a GPU to read them.
fn repeated(bytes: usize, reach: f32, middle: f32) -> &'static [u8] {
    type Made = ((u32, u32), &'static [u8]);
    static MADE: Mutex<Vec<Made>> = Mutex::new(Vec::new());
    let key = (reach.to_bits(), middle.to_bits());
    let mut made = MADE.lock().expect("no test panics in here");
    if let Some((_, data)) = made.iter().find(|(known, data)| *known == key && data.len() >= bytes) {
        return &data[..bytes];
    }
    let value = |uniform: f32| bf16::from_f32(middle + reach * uniform).to_le_bytes();
    let stretch: Vec<u8> = uniform().take(STRETCH).flat_map(value).collect();
    let data: &'static [u8] = stretch.repeat(bytes.div_ceil(stretch.len())).leak();
    made.push((key, data));
    &data[..bytes]
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
