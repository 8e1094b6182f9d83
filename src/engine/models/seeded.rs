//! Small random weights for tests: every tensor of an architecture, float32, a function of its name.

use std::borrow::Cow;

use super::{ExpectedTensor, TensorKind};
use crate::engine::sampler::Noise;
use crate::engine::weights::{RawTensor, WeightError, WeightSource, WeightType};

pub(crate) struct Seeded(pub(crate) Vec<ExpectedTensor>);

impl WeightSource for Seeded {
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<RawTensor<'_>, WeightError> {
        let known = self.0.iter().find(|tensor| tensor.name == name);
        let tensor = known.ok_or_else(|| WeightError::Missing { name: name.to_owned() })?;
        assert_eq!(tensor.shape, shape, "{name}");
        let seed = name.bytes().fold(7u64, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
        let fan_in = tensor.shape[1..].iter().product::<usize>().max(1);
        let (centre, spread) = match tensor.kind {
            TensorKind::Norm => (1.0, 0.1),
            TensorKind::Bias => (0.0, 0.1),
            TensorKind::Weight | TensorKind::Int8 | TensorKind::Scale => {
                (0.0, (fan_in as f32).sqrt().recip())
            }
        };
        let noise = Noise::new(seed).normal(0, tensor.count());
        let data = noise.iter().flat_map(|value| (centre + spread * value).to_le_bytes()).collect();
        Ok(RawTensor { dtype: WeightType::F32, shape: shape.to_vec(), data: Cow::Owned(data) })
    }

    fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|tensor| tensor.name == name)
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|tensor| tensor.name.clone()).collect()
    }
}
