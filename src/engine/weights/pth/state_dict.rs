//! From what the pickle made to tensors whose bytes are known to lie in the file.

use std::collections::HashSet;
use std::ops::Range;

use super::objects::{ElementType, Tensor, Value};
use super::pickle::unpickle;
use super::zip::Archive;
use crate::engine::weights::FormatError;

/// A named view of a storage that was checked against the file.
#[derive(Debug, Clone)]
pub(super) struct StateTensor {
    pub(super) name: String,
    pub(super) element: ElementType,
    pub(super) shape: Vec<usize>,
    /// Elements from one index to the next, a number for each side of `shape`.
    stride: Vec<usize>,
    /// The whole storage in the file.
    storage: Range<usize>,
    /// First element in the storage.
    offset: usize,
}

/// Every tensor of the dictionary, in its order.
pub(super) fn read(pickle: &[u8], archive: &Archive) -> Result<Vec<StateTensor>, FormatError> {
    let made = unpickle(pickle)?;
    let pairs = made.dict().ok_or(FormatError::Pickle { at: pickle.len(), reason: "not a dictionary" })?;
    let mut seen = HashSet::with_capacity(pairs.len());
    let mut tensors = Vec::with_capacity(pairs.len());
    for (key, value) in pairs {
        let Value::Text(key) = key else {
            return Err(FormatError::Pickle { at: pickle.len(), reason: "a key that is not a text" });
        };
        let key = key.text(pickle);
        let tensor = made.tensor(*value).ok_or_else(|| FormatError::NotATensor { key: key.to_owned() })?;
        if !seen.insert(key) {
            return Err(FormatError::Tensor { key: key.to_owned(), reason: "stands there twice" });
        }
        let placed = StateTensor::place(key, tensor, pickle, archive);
        tensors.push(placed.map_err(|reason| FormatError::Tensor { key: key.to_owned(), reason })?);
    }
    Ok(tensors)
}

impl StateTensor {
    fn place(name: &str, tensor: &Tensor, pickle: &[u8], archive: &Archive) -> Result<Self, &'static str> {
        let element = tensor.storage.element;
        let storage =
            archive.storage(tensor.storage.key.text(pickle)).ok_or("its storage is not in the file")?;
        let bytes = tensor.storage.elements.checked_mul(element.size());
        if bytes != Some(storage.len()) {
            return Err("its storage is not of the size that the pickle says");
        }
        let elements = element_count(&tensor.shape).ok_or("a shape out of range")?;
        if elements > tensor.storage.elements {
            return Err("larger than its storage (an expanded tensor)");
        }
        let last = last_element(tensor).ok_or("a shape out of range")?;
        if elements > 0 && last >= tensor.storage.elements {
            return Err("reaches outside its storage");
        }
        Ok(Self {
            name: name.to_owned(),
            element,
            shape: tensor.shape.clone(),
            stride: tensor.stride.clone(),
            storage,
            offset: tensor.offset,
        })
    }

    /// The bytes in the file, when they lie there in row-major order without gaps.
    pub(super) fn contiguous_bytes(&self) -> Option<Range<usize>> {
        let mut expected = 1;
        for (side, stride) in self.shape.iter().zip(&self.stride).rev() {
            if *side != 1 && *stride != expected {
                return None;
            }
            expected *= side;
        }
        let start = self.storage.start + self.offset * self.element.size();
        let bytes = self.bytes();
        (bytes > 0).then(|| start..start + bytes).or(Some(0..0))
    }

    /// The numbers in row-major order, copied: as many bytes as the storage holds at most.
    pub(super) fn gather(&self, file: &[u8]) -> Vec<u8> {
        let storage = &file[self.storage.clone()];
        let size = self.element.size();
        let mut gathered = Vec::with_capacity(self.elements() * size);
        let mut index = vec![0; self.shape.len()];
        for _ in 0..self.elements() {
            let steps: usize = index.iter().zip(&self.stride).map(|(at, stride)| at * stride).sum();
            let at = (self.offset + steps) * size;
            gathered.extend_from_slice(&storage[at..at + size]);
            advance(&mut index, &self.shape);
        }
        gathered
    }

    /// Bytes of all numbers.
    pub(super) fn bytes(&self) -> usize {
        self.elements() * self.element.size()
    }

    fn elements(&self) -> usize {
        self.shape.iter().product()
    }
}

fn element_count(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |count, side| count.checked_mul(*side))
}

/// Offset of the element with the highest index on every side.
fn last_element(tensor: &Tensor) -> Option<usize> {
    let sides = tensor.shape.iter().zip(&tensor.stride);
    sides.into_iter().try_fold(tensor.offset, |at, (side, stride)| {
        at.checked_add(side.saturating_sub(1).checked_mul(*stride)?)
    })
}

/// The next index in row-major order.
fn advance(index: &mut [usize], shape: &[usize]) {
    for (at, side) in index.iter_mut().zip(shape).rev() {
        *at += 1;
        if *at < *side {
            return;
        }
        *at = 0;
    }
}
