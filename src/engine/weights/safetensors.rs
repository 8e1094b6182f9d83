//! Our own weights: mapped safetensors files, read and written. Numbers are handed out as stored.

use std::borrow::Cow;
use std::cell::RefCell;
use std::io::{Seek, SeekFrom};
use std::path::Path;

use safetensors::tensor::{Dtype, Metadata, SafeTensors, View};

use super::mapped::MappedFile;
use super::{FormatError, RawTensor, WeightError, WeightSource, WeightType};

/// The largest published header (1575 tensors) is 0.2 MB; this bounds what parsing one can take.
const MAX_HEADER_BYTES: u64 = 8 << 20;
/// A file begins with the header's length.
const LENGTH_BYTES: usize = 8;

/// A mapped safetensors file.
#[derive(Debug)]
pub struct SafetensorsFile {
    file: MappedFile,
    metadata: Metadata,
    /// Where the numbers begin.
    data: usize,
}

impl SafetensorsFile {
    /// Maps `path` and reads its header, which must describe exactly the bytes that follow.
    pub fn open(path: &Path) -> Result<Self, WeightError> {
        let file = MappedFile::open(path)?;
        let (data, metadata) = read_header(file.bytes()).map_err(|error| error.within(path))?;
        Ok(Self { file, metadata, data })
    }

    /// Type and shape of every tensor, sorted by name; types that no network has are an error naming the key.
    pub fn tensors(&self) -> Result<Vec<(String, WeightType, Vec<usize>)>, WeightError> {
        let names = self.names();
        let row = |name: String| {
            let info =
                self.metadata.info(&name).ok_or_else(|| WeightError::Missing { name: name.clone() })?;
            Ok((name.clone(), weight_type(&name, info.dtype)?, info.shape.clone()))
        };
        names.into_iter().map(row).collect()
    }
}

impl WeightSource for SafetensorsFile {
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<RawTensor<'_>, WeightError> {
        let info = self.metadata.info(name).ok_or_else(|| WeightError::Missing { name: name.to_owned() })?;
        if info.shape != shape {
            let (expected, found) = (shape.to_vec(), info.shape.clone());
            return Err(WeightError::Shape { name: name.to_owned(), expected, found });
        }
        let (start, end) = info.data_offsets;
        let data = Cow::Borrowed(&self.file.bytes()[self.data + start..self.data + end]);
        Ok(RawTensor { dtype: weight_type(name, info.dtype)?, shape: shape.to_vec(), data })
    }

    fn contains(&self, name: &str) -> bool {
        self.metadata.info(name).is_some()
    }

    fn names(&self) -> Vec<String> {
        let mut names = self.metadata.offset_keys();
        names.sort_unstable();
        names
    }
}

/// Writes tensors of `source`, by name and shape, to a new file. Each is fetched when it is written, so that only one is in
/// memory at a time. Returns the bytes written.
pub fn write(
    path: &Path,
    source: &dyn WeightSource,
    tensors: &[(&str, &[usize])],
) -> Result<u64, WeightError> {
    let failed = RefCell::new(None);
    let mut views = Vec::with_capacity(tensors.len());
    for &(name, shape) in tensors {
        let dtype = source.tensor(name, shape)?.dtype;
        views.push((name, Deferred { source, name, shape, dtype, failed: &failed }));
    }
    safetensors::serialize_to_file(views, None, path)
        .map_err(|error| FormatError::Safetensors(error.to_string()).within(path))?;
    if let Some(error) = failed.take() {
        return Err(error);
    }
    let mut file = std::fs::File::open(path).map_err(WeightError::io(path))?;
    file.sync_all().map_err(WeightError::io(path))?;
    file.seek(SeekFrom::End(0)).map_err(WeightError::io(path))
}

/// A tensor that is fetched when its numbers are needed.
struct Deferred<'a> {
    source: &'a dyn WeightSource,
    name: &'a str,
    shape: &'a [usize],
    dtype: WeightType,
    /// Why a tensor that was there is there no longer.
    failed: &'a RefCell<Option<WeightError>>,
}

impl View for Deferred<'_> {
    fn dtype(&self) -> Dtype {
        match self.dtype {
            WeightType::F32 => Dtype::F32,
            WeightType::F16 => Dtype::F16,
            WeightType::BF16 => Dtype::BF16,
            WeightType::I8 => Dtype::I8,
        }
    }

    fn shape(&self) -> &[usize] {
        self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        match self.source.tensor(self.name, self.shape) {
            Ok(tensor) => tensor.data,
            Err(error) => {
                *self.failed.borrow_mut() = Some(error);
                Cow::Borrowed(&[])
            }
        }
    }

    fn data_len(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.size()
    }
}

fn read_header(file: &[u8]) -> Result<(usize, Metadata), FormatError> {
    let length = file.first_chunk::<LENGTH_BYTES>().ok_or(FormatError::Truncated("no safetensors header"))?;
    if u64::from_le_bytes(*length) > MAX_HEADER_BYTES {
        return Err(FormatError::Safetensors("the header is too large".to_owned()));
    }
    let (header, metadata) =
        SafeTensors::read_metadata(file).map_err(|error| FormatError::Safetensors(error.to_string()))?;
    Ok((LENGTH_BYTES + header, metadata))
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the crate adds number formats; ours are these four")]
fn weight_type(name: &str, dtype: Dtype) -> Result<WeightType, WeightError> {
    match dtype {
        Dtype::F32 => Ok(WeightType::F32),
        Dtype::F16 => Ok(WeightType::F16),
        Dtype::BF16 => Ok(WeightType::BF16),
        Dtype::I8 => Ok(WeightType::I8),
        other => Err(WeightError::Element { name: name.to_owned(), found: other.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(dtype: WeightType, shape: &[usize]) -> RawTensor<'static> {
        let bytes = shape.iter().product::<usize>() * dtype.size();
        RawTensor { dtype, shape: shape.to_vec(), data: Cow::Owned((0..bytes).map(|at| at as u8).collect()) }
    }

    /// Tensors in memory, and the names in the order in which they were asked for.
    #[derive(Default)]
    struct Shelf {
        tensors: Vec<(String, RawTensor<'static>)>,
        asked: RefCell<Vec<String>>,
    }

    impl WeightSource for Shelf {
        fn tensor(&self, name: &str, _: &[usize]) -> Result<RawTensor<'_>, WeightError> {
            self.asked.borrow_mut().push(name.to_owned());
            let missing = || WeightError::Missing { name: name.to_owned() };
            Ok(self.tensors.iter().find(|(key, _)| key == name).ok_or_else(missing)?.1.clone())
        }
        fn contains(&self, name: &str) -> bool {
            self.names().contains(&name.to_owned())
        }
        fn names(&self) -> Vec<String> {
            self.tensors.iter().map(|(name, _)| name.clone()).collect()
        }
    }

    fn shelf<const N: usize>(tensors: [(&str, RawTensor<'static>); N]) -> Shelf {
        let tensors = tensors.map(|(name, tensor)| (name.to_owned(), tensor)).into();
        Shelf { tensors, ..Shelf::default() }
    }

    fn write_all(path: &Path, shelf: &Shelf) -> Result<u64, WeightError> {
        let tensors: Vec<(&str, &[usize])> =
            shelf.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.shape.as_slice())).collect();
        write(path, shelf, &tensors)
    }

    #[test]
    fn what_is_written_is_read_in_every_type() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let types = [WeightType::I8, WeightType::F32, WeightType::BF16, WeightType::F16];
        let shelf = shelf(types.map(|dtype| (dtype.as_str(), tensor(dtype, &[3, 2]))));
        let bytes = write_all(&path, &shelf).unwrap();
        // First their types, then each again when its turn to be written comes: none is kept.
        let asked = shelf.asked.take();
        assert_eq!(asked[..4], ["int8", "f32", "bf16", "f16"]);
        assert_eq!(asked.len(), 8);
        assert_eq!(bytes, std::fs::metadata(&path).unwrap().len());
        let file = SafetensorsFile::open(&path).unwrap();
        assert_eq!(file.names(), ["bf16", "f16", "f32", "int8"]);
        for (name, expected) in &shelf.tensors {
            let read = file.tensor(name, &[3, 2]).unwrap();
            assert_eq!((read.dtype, read.data), (expected.dtype, expected.data.clone()));
        }
        assert!(matches!(file.tensor("f32", &[6]), Err(WeightError::Shape { .. })));
        assert!(matches!(file.tensor("f64", &[6]), Err(WeightError::Missing { .. })));
    }

    #[test]
    fn a_cut_file_and_a_lying_header_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        write_all(&path, &shelf([("a", tensor(WeightType::F32, &[8]))])).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for cut in [1, 7, 8, 20, whole.len() - 1] {
            std::fs::write(&path, &whole[..cut]).unwrap();
            assert!(matches!(SafetensorsFile::open(&path), Err(WeightError::Format { .. })), "{cut} bytes");
        }
        std::fs::write(&path, [u64::MAX.to_le_bytes().as_slice(), b"{}"].concat()).unwrap();
        assert!(SafetensorsFile::open(&path).is_err());
        std::fs::write(&path, []).unwrap();
        assert!(matches!(SafetensorsFile::open(&path), Err(WeightError::Io { .. })));
    }
}
