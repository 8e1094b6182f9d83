//! Models without files: random weights of the exact published shapes, made from a seed when a tensor is asked for.
//! For benchmarks and capacity planning; the clips are noise.

use std::borrow::Cow;
use std::collections::HashMap;

use half::bf16;
use rayon::prelude::*;

use super::architecture::{Architecture, AttentionBlocks, Expert, PUBLISHED_BLOCKS, published_capabilities};
use super::{RawTensor, WeightError, WeightSource, WeightType};
use crate::domain::model::Capabilities;
use crate::domain::size::{AspectRatio, Resolution};
use crate::domain::video::{AttentionType, Operation};
use crate::engine::models::umt5::Umt5Config;
use crate::engine::models::vae::VaeConfig;
use crate::engine::models::wan::{LinearFormat, ModelType, WanConfig};
use crate::engine::models::{ExpectedTensor, TensorKind};

/// What the name of a synthetic model begins with.
pub const SYNTHETIC_PREFIX: &str = "synth:";

/// Ends the name of a synthetic model with int8 linear layers.
const INT8_SUFFIX: &str = "-int8";

/// The names after the prefix.
pub const SYNTHETIC_MODELS: [&str; 4] = ["wan-tiny", "wan2.1-t2v-1.3b", "wan2.1-t2v-14b", "wan2.2-i2v-a14b"];

/// Shapes and abilities of the synthetic model `name` (without prefix); `None` for an unknown one.
pub(super) fn describe(name: &str) -> Option<(Architecture, Capabilities)> {
    let (base, format) = match name.strip_suffix(INT8_SUFFIX) {
        Some(base) => (base, LinearFormat::Int8),
        None => (name, LinearFormat::Bf16),
    };
    let published = |config: WanConfig, best| {
        let capabilities = published_capabilities(config.model_type, best);
        (Architecture::published(config, format), capabilities)
    };
    match base {
        "wan-tiny" => Some(tiny(format)),
        "wan2.1-t2v-1.3b" => Some(published(WanConfig::t2v_1_3b(), Resolution::P480)),
        "wan2.1-t2v-14b" => Some(published(WanConfig::t2v_14b(), Resolution::P720)),
        "wan2.2-i2v-a14b" => Some(published(WanConfig::i2v_a14b(), Resolution::P720)),
        _ => None,
    }
}

/// The shapes of the bundled small model.
fn tiny(linear_format: LinearFormat) -> (Architecture, Capabilities) {
    let max_tokens = 64;
    let transformer = WanConfig {
        dim: 256,
        ffn_dim: 768,
        num_heads: 2,
        num_layers: 10,
        text_len: max_tokens,
        text_dim: 256,
        ..WanConfig::i2v_a14b()
    };
    let text_encoder = Umt5Config {
        vocab: 384,
        dim: 256,
        dim_attn: 256,
        dim_ffn: 384,
        num_heads: 4,
        num_layers: 2,
        num_buckets: 32,
        shared_pos: false,
    };
    let architecture = Architecture {
        transformer,
        experts: vec![Expert::High],
        linear_format,
        sparse_linear: true,
        vae: VaeConfig { dim: 16, ..VaeConfig::wan21() },
        text_encoder,
        max_tokens,
        attention: AttentionBlocks { ..PUBLISHED_BLOCKS },
    };
    let capabilities = Capabilities {
        operations: vec![Operation::TextToVideo, Operation::ImageToVideo],
        best_resolution: Resolution::P128,
        resolutions: vec![Resolution::P128],
        aspect_ratios: AspectRatio::ALL.to_vec(),
        default_num_frames: 33,
        max_frames: 33,
        seconds: ["1", "2"].map(str::to_owned).to_vec(),
        default_seconds: "2".to_owned(),
        attention_types: vec![AttentionType::Sla, AttentionType::SageSla, AttentionType::Original],
        default_attention_type: AttentionType::Sla,
        default_sla_topk: 0.5,
        default_image_sigma_max: 80.0,
        max_prompt_tokens: max_tokens as u32,
        ..published_capabilities(ModelType::T2v, Resolution::P128)
    };
    (architecture, capabilities)
}

/// Random tensors of one network.
pub(super) struct SyntheticSource {
    tensors: HashMap<String, ExpectedTensor>,
    seed: u64,
    /// What floating-point weights are stored as.
    weights: WeightType,
    /// What norms are stored as.
    norms: WeightType,
}

impl SyntheticSource {
    /// Tensors as a published file has them: `weights` in one format, norms in another.
    pub(super) fn new(
        expected: Vec<ExpectedTensor>,
        seed: u64,
        weights: WeightType,
        norms: WeightType,
    ) -> Self {
        let tensors = expected.into_iter().map(|tensor| (tensor.name.clone(), tensor)).collect();
        Self { tensors, seed, weights, norms }
    }

    fn make(&self, tensor: &ExpectedTensor) -> RawTensor<'static> {
        let seed = self.seed ^ name_hash(&tensor.name);
        let count = tensor.count();
        let (dtype, data) = match tensor.kind {
            TensorKind::Weight => {
                let fan_in = tensor.shape.iter().skip(1).product::<usize>().max(1);
                (self.weights, uniform(seed, count, deviation(fan_in), self.weights))
            }
            TensorKind::Bias => (self.weights, constant(0.0, count, self.weights)),
            TensorKind::Norm => (self.norms, constant(1.0, count, self.norms)),
            TensorKind::Int8 => (WeightType::I8, random_bytes(seed, count)),
            TensorKind::Scale => {
                let fan_in = tensor.shape.last().copied().unwrap_or(1) * INT8_BLOCK;
                (WeightType::F32, constant(deviation(fan_in) / INT8_DEVIATION, count, WeightType::F32))
            }
        };
        RawTensor { dtype, shape: tensor.shape.clone(), data: Cow::Owned(data) }
    }
}

impl WeightSource for SyntheticSource {
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<RawTensor<'_>, WeightError> {
        let tensor = self.tensors.get(name).ok_or_else(|| WeightError::Missing { name: name.to_owned() })?;
        if tensor.shape != shape {
            let (expected, found) = (shape.to_vec(), tensor.shape.clone());
            return Err(WeightError::Shape { name: name.to_owned(), expected, found });
        }
        Ok(self.make(tensor))
    }

    fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.tensors.keys().cloned().collect();
        names.sort_unstable();
        names
    }
}

/// Inputs that share a factor of a quantised matrix.
const INT8_BLOCK: usize = 128;
/// Standard deviation of a uniform byte in −128..=127.
const INT8_DEVIATION: f32 = 73.9;
/// Values of one random word: a byte each.
const VALUES_A_WORD: usize = 8;
/// Values that a thread makes at a time.
const CHUNK_VALUES: usize = 1 << 16;

/// A matrix with this deviation keeps the size of what it multiplies.
fn deviation(fan_in: usize) -> f32 {
    1.0 / (fan_in as f32).sqrt()
}

/// Values of a uniform distribution with mean 0, 256 levels: the networks' statistics do not see the steps.
fn uniform(seed: u64, count: usize, deviation: f32, dtype: WeightType) -> Vec<u8> {
    let levels = |level: u16| (f32::from(level) - 127.5) / INT8_DEVIATION * deviation;
    let table: Vec<Vec<u8>> = (0..256).map(|level| encoded(levels(level), dtype)).collect();
    let size = dtype.size();
    let mut data = vec![0; count * size];
    data.par_chunks_mut(CHUNK_VALUES * size).enumerate().for_each(|(chunk, out)| {
        let first = (chunk * CHUNK_VALUES / VALUES_A_WORD) as u64;
        for (word, values) in (first..).zip(out.chunks_mut(VALUES_A_WORD * size)) {
            for (value, level) in values.chunks_exact_mut(size).zip(random_word(seed, word).to_le_bytes()) {
                value.copy_from_slice(&table[usize::from(level)]);
            }
        }
    });
    data
}

fn random_bytes(seed: u64, count: usize) -> Vec<u8> {
    let mut data = vec![0; count];
    data.par_chunks_mut(CHUNK_VALUES).enumerate().for_each(|(chunk, out)| {
        let first = (chunk * CHUNK_VALUES / VALUES_A_WORD) as u64;
        for (word, bytes) in (first..).zip(out.chunks_mut(VALUES_A_WORD)) {
            bytes.copy_from_slice(&random_word(seed, word).to_le_bytes()[..bytes.len()]);
        }
    });
    data
}

fn constant(value: f32, count: usize, dtype: WeightType) -> Vec<u8> {
    encoded(value, dtype).repeat(count)
}

fn encoded(value: f32, dtype: WeightType) -> Vec<u8> {
    match dtype {
        WeightType::F32 => value.to_le_bytes().to_vec(),
        WeightType::F16 => half::f16::from_f32(value).to_le_bytes().to_vec(),
        WeightType::BF16 => bf16::from_f32(value).to_le_bytes().to_vec(),
        WeightType::I8 => vec![value as i8 as u8],
    }
}

/// The `index`-th word of a stream (SplitMix64, which can be read at any place).
fn random_word(seed: u64, index: u64) -> u64 {
    let mut word = seed.wrapping_add((index + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// FNV-1a: equal on every machine.
fn name_hash(name: &str) -> u64 {
    name.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::weights::check::check;

    #[test]
    fn every_name_is_a_model_whose_parts_fit() {
        for name in SYNTHETIC_MODELS {
            for suffix in ["", INT8_SUFFIX] {
                let (architecture, _) = describe(&format!("{name}{suffix}")).unwrap();
                assert_eq!(architecture.problem(), None, "{name}{suffix}");
            }
        }
        assert!(describe("wan9").is_none());
    }

    #[test]
    fn tensors_are_those_of_the_architecture_and_the_same_every_time() {
        let (architecture, _) = describe("wan-tiny-int8").unwrap();
        let expected = architecture.transformer_tensors();
        let source = SyntheticSource::new(expected.clone(), 7, WeightType::BF16, WeightType::F32);
        check(&source, &expected).unwrap();
        let name = "blocks.3.self_attn.q.int8_weight";
        let again = SyntheticSource::new(expected, 7, WeightType::BF16, WeightType::F32);
        assert_eq!(
            source.tensor(name, &[256, 256]).unwrap().data,
            again.tensor(name, &[256, 256]).unwrap().data
        );
        assert!(source.tensor(name, &[256, 128]).is_err());
    }

    #[test]
    fn weights_have_the_deviation_of_their_fan_in_and_differ_by_name() {
        let read = |data: &[u8]| -> Vec<f32> {
            data.as_chunks::<2>().0.iter().map(|bytes| bf16::from_le_bytes(*bytes).to_f32()).collect()
        };
        let values = read(&uniform(1, 400_000, deviation(256), WeightType::BF16));
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / values.len() as f32;
        assert!(mean.abs() < 1e-3 && (variance.sqrt() * 16.0 - 1.0).abs() < 0.01, "{mean} {variance}");
        assert_ne!(name_hash("blocks.0"), name_hash("blocks.1"));
        assert_eq!(uniform(1, 70_001, 1.0, WeightType::F32).len(), 280_004);
    }
}
