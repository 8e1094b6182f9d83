//! Where a network's numbers come from: published checkpoints, our own files, or a seed.
//! A source only hands out bytes under published names; it never knows what a network does with them.

//!
//! Read in this order: the two file formats (`safetensors`, `pth`) over a mapped file (`mapped`); the shapes of a model
//! (`architecture`), what its folder says (`manifest`) and whether it holds them (`check`); models without files
//! (`synth`); how a model is found (`library`), opened (`model`), made from published files (`import`) and verified.

mod error;
mod mapped;
mod pth;
mod safetensors;

mod architecture;
mod check;
mod digest;
mod manifest;
mod synth;

mod import;
mod library;
mod model;
mod verify;

use std::borrow::Cow;

pub use architecture::{
    Architecture, AttentionBlocks, Expert, PUBLISHED_BLOCKS, PUBLISHED_MAX_TOKENS, published_capabilities,
};
pub use check::check;
pub use error::{FormatError, WeightError};
pub use import::Import;
pub use library::Library;
pub use manifest::{FileEntry, MANIFEST_FILE, Manifest, ManifestParts};
pub use model::{BoxedSource, Model, Network};
pub use pth::{ElementType, PthFile};
pub use safetensors::{SafetensorsFile, write as write_safetensors};
pub use synth::{SYNTHETIC_MODELS, SYNTHETIC_PREFIX};
pub use verify::{VerifiedFile, verify};

/// Number format in which a tensor is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WeightType {
    F32,
    F16,
    BF16,
    I8,
}

impl WeightType {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
            Self::I8 => 1,
        }
    }

    /// As messages name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::BF16 => "bf16",
            Self::I8 => "int8",
        }
    }
}

/// One tensor as stored: contiguous, row-major, little-endian, `product(shape) · dtype.size()` bytes.
#[derive(Debug, Clone)]
pub struct RawTensor<'a> {
    pub dtype: WeightType,
    pub shape: Vec<usize>,
    pub data: Cow<'a, [u8]>,
}

/// Named tensors of one network.
pub trait WeightSource {
    /// The tensor called `name`. Fails if it is missing or its shape is not `shape`.
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<RawTensor<'_>, WeightError>;
    /// Whether there is a tensor called `name`.
    fn contains(&self, name: &str) -> bool;
    /// Every name, sorted.
    fn names(&self) -> Vec<String>;
}
