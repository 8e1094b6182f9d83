//! SHA-256 of files: what a manifest says of them.

use std::path::Path;

use sha2::{Digest, Sha256};

use super::WeightError;
use super::mapped::MappedFile;

/// Lower-case hex digits, and the number of bytes.
pub(super) fn sha256_of(path: &Path) -> Result<(String, u64), WeightError> {
    let file = MappedFile::open(path)?;
    let digest = Sha256::digest(file.bytes());
    let hex = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((hex, file.bytes().len() as u64))
}
