//! A file mapped read-only into memory: the one `unsafe` of the loader. Never writes and never interprets bytes.

use std::fs::File;
use std::path::Path;

use super::WeightError;

/// The bytes of a file, paged in by the kernel as they are touched.
#[derive(Debug)]
pub(super) struct MappedFile {
    map: memmap2::Mmap,
}

impl MappedFile {
    /// Maps a whole regular file; an empty one is an error.
    pub(super) fn open(path: &Path) -> Result<Self, WeightError> {
        let file = File::open(path).map_err(WeightError::io(path))?;
        let kind = file.metadata().map_err(WeightError::io(path))?;
        if !kind.is_file() || kind.len() == 0 {
            let reason = std::io::Error::new(std::io::ErrorKind::InvalidInput, "not a file with content");
            return Err(WeightError::io(path)(reason));
        }
        let map = map(&file).map_err(WeightError::io(path))?;
        Ok(Self { map })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.map
    }
}

#[expect(
    unsafe_code,
    reason = "mapping a file: safe while nobody shrinks it, and model files are never rewritten in place"
)]
fn map(file: &File) -> std::io::Result<memmap2::Mmap> {
    // SAFETY: the map is read-only and private to this process. Importing writes a new file and renames it over the
    // old one, so that the pages of an open map never change.
    unsafe { memmap2::Mmap::map(file) }
}
