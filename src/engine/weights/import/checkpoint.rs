//! A checkpoint in either format, told apart by its first bytes.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::engine::weights::{BoxedSource, FormatError, PthFile, SafetensorsFile, WeightError, WeightSource};

/// An opened file and its tensors.
pub(super) struct Checkpoint {
    path: PathBuf,
    shapes: HashMap<String, Vec<usize>>,
    source: BoxedSource,
}

impl Checkpoint {
    pub(super) fn open(path: &Path) -> Result<Self, WeightError> {
        let path = path.to_owned();
        if is_safetensors(&path)? {
            let file = SafetensorsFile::open(&path)?;
            let shapes = file.tensors()?.into_iter().map(|(name, _, shape)| (name, shape)).collect();
            Ok(Self { path, shapes, source: Box::new(file) })
        } else {
            let file = PthFile::open(&path)?;
            check_sharing(&file, &path)?;
            let shapes = file.tensors().map(|(name, _, shape)| (name.to_owned(), shape.to_vec())).collect();
            Ok(Self { path, shapes, source: Box::new(file) })
        }
    }

    /// Names and shapes of all tensors.
    pub(super) fn shapes(&self) -> &HashMap<String, Vec<usize>> {
        &self.shapes
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn source(&self) -> &dyn WeightSource {
        self.source.as_ref()
    }
}

/// Names that share their numbers would be written once each: what is written must not be more than what was read.
fn check_sharing(file: &PthFile, path: &Path) -> Result<(), WeightError> {
    let bytes = |shape: &[usize]| shape.iter().fold(1u64, |count, &side| count.saturating_mul(side as u64));
    let tensors = file.tensors().fold(0u64, |sum, (_, element, shape)| {
        sum.saturating_add(bytes(shape).saturating_mul(element.size() as u64))
    });
    let length = std::fs::metadata(path).map_err(WeightError::io(path))?.len();
    if tensors <= length { Ok(()) } else { Err(FormatError::Shared { tensors, file: length }.within(path)) }
}

/// The header's length, then a JSON object.
fn is_safetensors(path: &Path) -> Result<bool, WeightError> {
    let mut start = Vec::new();
    let file = File::open(path).map_err(WeightError::io(path))?;
    file.take(9).read_to_end(&mut start).map_err(WeightError::io(path))?;
    Ok(start.get(8) == Some(&b'{'))
}
