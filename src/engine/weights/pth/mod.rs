//! Torch zip checkpoints, read without torch: mapped, never executed, never copied. A flat state dict and nothing else;
//! what the reader does not know is an error that names it, never a skipped tensor.
//!
//! Read in this order: the archive (`zip`), the pickle's machine (`pickle`), what it may make (`objects`), the tensors.

mod cursor;
mod objects;
mod pickle;
mod state_dict;
mod zip;

#[cfg(test)]
mod hostile_test;
#[cfg(test)]
pub(crate) mod write;

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use super::mapped::MappedFile;
use super::{FormatError, RawTensor, WeightError, WeightSource};
pub use objects::ElementType;
use state_dict::StateTensor;

/// A mapped checkpoint and where its tensors lie in it.
#[derive(Debug)]
pub struct PthFile {
    file: MappedFile,
    tensors: Vec<StateTensor>,
    by_name: HashMap<String, usize>,
}

impl PthFile {
    /// Maps `path` and reads its directory and pickle; tensor bytes are not touched.
    pub fn open(path: &Path) -> Result<Self, WeightError> {
        let file = MappedFile::open(path)?;
        let tensors = read_directory(file.bytes()).map_err(|error| error.within(path))?;
        let by_name = tensors.iter().enumerate().map(|(at, tensor)| (tensor.name.clone(), at)).collect();
        Ok(Self { file, tensors, by_name })
    }

    /// Element type and shape of every tensor, in file order.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, ElementType, &[usize])> {
        self.tensors.iter().map(|tensor| (tensor.name.as_str(), tensor.element, tensor.shape.as_slice()))
    }
}

impl WeightSource for PthFile {
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<RawTensor<'_>, WeightError> {
        let missing = || WeightError::Missing { name: name.to_owned() };
        let tensor = &self.tensors[*self.by_name.get(name).ok_or_else(missing)?];
        if tensor.shape != shape {
            let (expected, found) = (shape.to_vec(), tensor.shape.clone());
            return Err(WeightError::Shape { name: name.to_owned(), expected, found });
        }
        let dtype = tensor.element.weight_type().ok_or_else(|| {
            let found = tensor.element.as_str().to_owned();
            WeightError::Element { name: name.to_owned(), found }
        })?;
        let data = match tensor.contiguous_bytes() {
            Some(range) => Cow::Borrowed(&self.file.bytes()[range]),
            None => Cow::Owned(tensor.gather(self.file.bytes())),
        };
        Ok(RawTensor { dtype, shape: shape.to_vec(), data })
    }

    fn contains(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.tensors.iter().map(|tensor| tensor.name.clone()).collect();
        names.sort_unstable();
        names
    }
}

/// A tensor that does not lie in row-major order is copied in memory; published files have none.
const MAX_REORDERED_BYTES: usize = 256 << 20;

fn read_directory(file: &[u8]) -> Result<Vec<StateTensor>, FormatError> {
    let archive = zip::Archive::read(file)?;
    let pickle: Range<usize> = archive.pickle()?;
    let tensors = state_dict::read(&file[pickle], &archive)?;
    check_order(&tensors, MAX_REORDERED_BYTES)?;
    Ok(tensors)
}

fn check_order(tensors: &[StateTensor], most: usize) -> Result<(), FormatError> {
    match tensors.iter().find(|tensor| tensor.contiguous_bytes().is_none() && tensor.bytes() > most) {
        Some(StateTensor { name, .. }) => {
            Err(FormatError::Tensor { key: name.clone(), reason: "too large to be stored in another order" })
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::write::{Checkpoint, Stored};
    use super::*;
    use crate::engine::weights::WeightType;

    fn opened(checkpoint: &Checkpoint) -> Result<PthFile, WeightError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pth");
        std::fs::write(&path, checkpoint.bytes()).unwrap();
        PthFile::open(&path)
    }

    #[test]
    fn every_storage_type_is_listed_with_its_shape() {
        let mut checkpoint = Checkpoint::new();
        for element in ElementType::ALL {
            let bytes = vec![1; 6 * element.size()];
            checkpoint.push(Stored::contiguous(element.as_str(), element, &[2, 3], bytes));
        }
        let file = opened(&checkpoint).unwrap();
        let listed: Vec<_> =
            file.tensors().map(|(name, element, shape)| (name.to_owned(), element, shape.to_vec())).collect();
        for (element, row) in ElementType::ALL.into_iter().zip(&listed) {
            assert_eq!(*row, (element.as_str().to_owned(), element, vec![2, 3]));
            let read = file.tensor(element.as_str(), &[2, 3]);
            match element.weight_type() {
                Some(dtype) => assert_eq!(read.unwrap().dtype, dtype),
                None => assert!(read.unwrap_err().to_string().contains(element.as_str())),
            }
        }
    }

    #[test]
    fn a_published_file_has_state_location_tags_and_mixed_types() {
        let mut checkpoint = Checkpoint::new().on_device("cuda:0").with_metadata();
        checkpoint.push(Stored::contiguous(
            "blocks.0.ffn.0.int8_weight",
            ElementType::I8,
            &[2, 2],
            vec![1, 255, 3, 4],
        ));
        checkpoint.push(Stored::contiguous(
            "blocks.0.ffn.0.scale",
            ElementType::F32,
            &[1, 1],
            0.5f32.to_le_bytes().to_vec(),
        ));
        let file = opened(&checkpoint).unwrap();
        assert_eq!(file.names(), ["blocks.0.ffn.0.int8_weight", "blocks.0.ffn.0.scale"]);
        let weight = file.tensor("blocks.0.ffn.0.int8_weight", &[2, 2]).unwrap();
        assert_eq!((weight.dtype, weight.data.as_ref()), (WeightType::I8, &[1u8, 255, 3, 4][..]));
        assert!(matches!(weight.data, Cow::Borrowed(_)), "tensor bytes are not copied");
    }

    #[test]
    fn a_transposed_view_is_gathered_and_an_expanded_one_refused() {
        let bytes: Vec<u8> = (0..6).collect();
        let mut checkpoint = Checkpoint::new();
        checkpoint.push(Stored {
            stride: vec![1, 3],
            ..Stored::contiguous("t", ElementType::I8, &[3, 2], bytes.clone())
        });
        checkpoint
            .push(Stored { offset: 2, ..Stored::contiguous("tail", ElementType::I8, &[4], bytes.clone()) });
        let file = opened(&checkpoint).unwrap();
        assert_eq!(file.tensor("t", &[3, 2]).unwrap().data.as_ref(), [0, 3, 1, 4, 2, 5]);
        assert_eq!(file.tensor("tail", &[4]).unwrap().data.as_ref(), [2, 3, 4, 5]);

        assert!(check_order(&file.tensors, 6).is_ok());
        assert!(check_order(&file.tensors, 5).unwrap_err().to_string().contains("`t`: too large"));

        let mut expanded = Checkpoint::new();
        expanded.push(Stored {
            stride: vec![0],
            ..Stored::contiguous("e", ElementType::I8, &[1 << 40], vec![1])
        });
        assert!(opened(&expanded).unwrap_err().to_string().contains("`e`"));
    }

    #[test]
    fn a_wrong_shape_or_name_is_named() {
        let mut checkpoint = Checkpoint::new();
        checkpoint.push(Stored::contiguous("a", ElementType::F32, &[2], vec![0; 8]));
        let file = opened(&checkpoint).unwrap();
        assert_eq!(
            file.tensor("a", &[3]).unwrap_err().to_string(),
            "tensor `a` has the shape [2], the model needs [3]"
        );
        assert_eq!(file.tensor("b", &[2]).unwrap_err().to_string(), "tensor `b` is missing");
        assert!(file.contains("a") && !file.contains("b"));
    }
}
