//! The number format in which a transformer's linear layers compute, and which one suits a device.

use std::fmt;
use std::str::FromStr;

/// Of weights and inputs of the linear layers inside the blocks; sums are wider always.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum LinearCompute {
    /// As the activations: bfloat16 on a GPU, float32 on the CPU.
    #[default]
    Bf16,
    /// Both sides in blocks of 128×128 with a factor each.
    Int8,
    /// Eight-bit floats, a factor for each output and each token.
    Fp8,
}

/// A text that names no format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a linear format is bf16, int8 or fp8")]
pub struct BadLinear;

/// Cards of up to this many bytes hold a 14B model only in int8. Sold as 24 and 32 GB, they report up to 34.2e9.
const SMALL_CARD_BYTES: u64 = 35_000_000_000;

impl LinearCompute {
    /// Every format.
    pub const ALL: [Self; 3] = [Self::Bf16, Self::Int8, Self::Fp8];

    /// As written in settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
            Self::Fp8 => "fp8",
        }
    }

    /// What a device with so much memory runs when nothing else is set; without a GPU, what needs no conversion. A large
    /// card is faster in bf16 than in int8, and fp8 is a choice about quality that nobody makes for its user.
    pub fn suited_to(gpu_memory_bytes: Option<u64>) -> Self {
        match gpu_memory_bytes {
            Some(bytes) if bytes <= SMALL_CARD_BYTES => Self::Int8,
            Some(_) | None => Self::Bf16,
        }
    }

    /// Bytes of a weight; `activation` are those of an activation's element.
    pub fn bytes_of_element(self, activation: usize) -> u64 {
        match self {
            Self::Bf16 => activation as u64,
            Self::Int8 | Self::Fp8 => 1,
        }
    }

    /// The format of a job: the contract's `quant_linear` asks for int8 or for what is not int8.
    pub fn of_job(self, quant_linear: bool) -> Self {
        match (quant_linear, self) {
            (true, _) => Self::Int8,
            (false, Self::Fp8) => Self::Fp8,
            (false, Self::Bf16 | Self::Int8) => Self::Bf16,
        }
    }
}

impl fmt::Display for LinearCompute {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl FromStr for LinearCompute {
    type Err = BadLinear;

    fn from_str(text: &str) -> Result<Self, BadLinear> {
        Self::ALL.into_iter().find(|format| format.as_str() == text).ok_or(BadLinear)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_devices() {
        use LinearCompute::{Bf16, Int8};
        for (name, mebibytes, expected) in [
            ("NVIDIA GeForce RTX 3090", 24_576, Int8),
            ("NVIDIA GeForce RTX 4090", 24_564, Int8),
            ("NVIDIA L4", 23_034, Int8),
            ("NVIDIA A10", 23_028, Int8),
            ("NVIDIA GeForce RTX 5090", 32_607, Int8),
            ("NVIDIA A100-SXM4-40GB", 40_960, Bf16),
            ("NVIDIA L40S", 46_068, Bf16),
            ("NVIDIA A100-SXM4-80GB", 81_920, Bf16),
            ("NVIDIA H100 80GB HBM3", 81_559, Bf16),
            ("NVIDIA H200", 143_771, Bf16),
            ("NVIDIA B200", 183_359, Bf16),
        ] {
            assert_eq!(LinearCompute::suited_to(Some(mebibytes << 20)), expected, "{name}");
        }
        assert_eq!(LinearCompute::suited_to(None), Bf16);
    }

    #[test]
    fn a_job_gets_int8_when_it_asks_and_the_deployments_other_format_when_not() {
        use LinearCompute::{Bf16, Fp8, Int8};
        for (set, quantised, expected) in [
            (Bf16, true, Int8),
            (Fp8, true, Int8),
            (Int8, true, Int8),
            (Bf16, false, Bf16),
            (Fp8, false, Fp8),
            (Int8, false, Bf16),
        ] {
            assert_eq!(set.of_job(quantised), expected);
        }
        assert!(LinearCompute::ALL.iter().all(|format| format.as_str().parse() == Ok(*format)));
        assert_eq!("fp16".parse::<LinearCompute>(), Err(BadLinear));
    }
}
