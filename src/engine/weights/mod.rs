//! Where a network's numbers come from: published checkpoints, our own files, or a seed.
//! A source only hands out bytes under published names; it never knows what a network does with them.

use std::borrow::Cow;

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

/// Why a tensor, or a whole file, cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WeightError {
    #[error("tensor `{name}` is missing")]
    Missing { name: String },
    #[error("tensor `{name}` has the shape {found:?}, the model needs {expected:?}")]
    Shape { name: String, expected: Vec<usize>, found: Vec<usize> },
    #[error("tensor `{name}` is stored as {found:?}, which cannot stand there")]
    Type { name: String, found: WeightType },
    #[error("tensor `{name}` is not part of the model")]
    Unexpected { name: String },
    #[error("{file}: {what}")]
    Broken { file: String, what: String },
    #[error("cannot read {file}: {source}")]
    Io { file: String, source: std::io::Error },
}
