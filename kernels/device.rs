//! Where tensors live and operators run. Never allocates by itself.

use std::fmt;
use std::str::FromStr;

use crate::{DType, Error};

/// The processor of a tensor. Operators take all their tensors from one device.
#[derive(Debug, Clone, PartialEq)]
pub enum Device {
    /// All cores of this machine, float32.
    Cpu,
    /// One GPU.
    #[cfg(feature = "cuda")]
    Cuda(crate::cuda::Device),
}

impl Device {
    /// Number format of activations and of plain weights: float32 on the CPU, bfloat16 on a GPU.
    pub fn activations(&self) -> DType {
        match self {
            Self::Cpu => DType::F32,
            #[cfg(feature = "cuda")]
            Self::Cuda(_) => DType::BF16,
        }
    }

    /// Tensors that `work` makes stand apart from those that come and go within a layer: for what is kept longer, which
    /// would leave holes between them. Nothing of the kind on the CPU.
    pub fn apart<T>(&self, work: impl FnOnce() -> T) -> T {
        match self {
            Self::Cpu => work(),
            #[cfg(feature = "cuda")]
            Self::Cuda(device) => device.apart(work),
        }
    }
}

/// `cpu`, or with the feature `cuda` also `cuda:N`.
impl FromStr for Device {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        if name == "cpu" {
            return Ok(Self::Cpu);
        }
        #[cfg(feature = "cuda")]
        if let Some(ordinal) = name.strip_prefix("cuda:").and_then(|digits| digits.parse().ok()) {
            return Ok(Self::Cuda(crate::cuda::Device::open(ordinal)?));
        }
        Err(Error::NoDevice(name.to_owned()))
    }
}

impl fmt::Display for Device {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => out.write_str("cpu"),
            #[cfg(feature = "cuda")]
            Self::Cuda(device) => write!(out, "{device}"),
        }
    }
}
