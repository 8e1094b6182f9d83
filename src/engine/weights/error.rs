//! What can be wrong with weights: the file, or the tensors in it. Every message names the file or the key.

use std::path::{Path, PathBuf};

use super::WeightType;
use crate::engine::text::TokenizerError;

/// Why a tensor, or a whole file, cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WeightError {
    #[error("tensor `{name}` is missing")]
    Missing { name: String },
    #[error("tensor `{name}` has the shape {found:?}, the model needs {expected:?}")]
    Shape { name: String, expected: Vec<usize>, found: Vec<usize> },
    #[error("tensor `{name}` is stored as {}, which cannot stand there", found.as_str())]
    Type { name: String, found: WeightType },
    #[error("tensor `{name}` is stored as {found}, which no network of the family has")]
    Element { name: String, found: String },
    #[error("tensor `{name}` is not part of the model")]
    Unexpected { name: String },
    #[error("cannot read {}: {cause}", path.display())]
    Io { path: PathBuf, cause: std::io::Error },
    #[error("{}: {cause}", path.display())]
    Format { path: PathBuf, cause: FormatError },
    #[error("{}: {cause}", path.display())]
    File { path: PathBuf, cause: Box<WeightError> },
    #[error("{first}, and {others} more faults")]
    Several { first: Box<WeightError>, others: usize },
    #[error("a {found} is not a published one ({}); describe it", known.join(", "))]
    UnknownArchitecture { found: String, known: Vec<&'static str> },
    #[error("{}: {reason}", path.display())]
    Manifest { path: PathBuf, reason: String },
    #[error("{} has {found} bytes, its manifest says {expected}", path.display())]
    Length { path: PathBuf, expected: u64, found: u64 },
    #[error("{} has the SHA-256 {found}, its manifest says {expected}", path.display())]
    Checksum { path: PathBuf, expected: String, found: String },
    #[error("there is no model `{id}`; there are {}", known.join(", "))]
    UnknownModel { id: String, known: Vec<String> },
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
}

/// Why a checkpoint's bytes cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    #[error("a legacy (non-zip) torch pickle; save it again with torch 1.6 or newer")]
    Legacy,
    #[error("not a torch zip checkpoint")]
    NotZip,
    #[error("truncated: {0}")]
    Truncated(&'static str),
    #[error("bad zip archive: {0}")]
    Zip(&'static str),
    #[error("bad zip entry `{name}`: {reason}")]
    Entry { name: String, reason: &'static str },
    #[error("bad pickle at byte {at}: {reason}")]
    Pickle { at: usize, reason: &'static str },
    #[error("pickle opcode {code:#04x} at byte {at} is not allowed")]
    Opcode { at: usize, code: u8 },
    #[error("the pickle asks for `{0}`, which is not allowed")]
    Global(String),
    #[error("key `{key}` is not a tensor; a flat state dict is needed")]
    NotATensor { key: String },
    #[error("key `{key}`: {reason}")]
    Tensor { key: String, reason: &'static str },
    #[error("its tensors have {tensors} bytes and the file {file}: they share their numbers")]
    Shared { tensors: u64, file: u64 },
    #[error("bad safetensors file: {0}")]
    Safetensors(String),
}

impl FormatError {
    /// Names the file the error was found in.
    pub fn within(self, path: &Path) -> WeightError {
        WeightError::Format { path: path.to_owned(), cause: self }
    }
}

impl WeightError {
    /// Names the file in which a tensor is wrong.
    pub fn of_file(self, path: &Path) -> Self {
        Self::File { path: path.to_owned(), cause: Box::new(self) }
    }

    /// Names the file an operation failed on.
    pub fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |cause| Self::Io { path, cause }
    }
}
