//! Whether a model's files are those that its manifest names: length, SHA-256, and every tensor.

use std::path::PathBuf;

use super::architecture::Expert;
use super::digest::sha256_of;
use super::manifest::FileEntry;
use super::{Model, WeightError};

/// A file that was looked at.
#[derive(Debug)]
pub struct VerifiedFile {
    pub path: PathBuf,
    pub bytes: u64,
    pub outcome: Result<(), WeightError>,
}

/// Reads every byte of a model. A synthetic model has no files and nothing to verify.
pub fn verify(model: &Model) -> Vec<VerifiedFile> {
    let Some((folder, manifest)) = model.folder().zip(model.manifest()) else { return Vec::new() };
    let look = |entry: &FileEntry, content: &dyn Fn() -> Result<(), WeightError>| {
        let path = folder.join(&entry.file);
        let outcome =
            entry.locate(folder).and_then(|path| check_digest(entry, path)).and_then(|()| content());
        VerifiedFile { path, bytes: entry.bytes, outcome }
    };
    let experts = model.architecture().experts.iter();
    let transformer =
        |expert: &Expert| look(manifest.transformer_file(*expert), &|| model.transformer(*expert).map(drop));
    let mut files: Vec<_> = experts.map(transformer).collect();
    files.push(look(&manifest.vae.file, &|| model.vae().map(drop)));
    files.push(look(&manifest.text_encoder.file, &|| model.text_encoder().map(drop)));
    files.push(look(&manifest.text_encoder.tokenizer, &|| model.tokenizer().map(drop)));
    files
}

fn check_digest(entry: &FileEntry, path: PathBuf) -> Result<(), WeightError> {
    let (found, _) = sha256_of(&path)?;
    if found == entry.sha256 {
        return Ok(());
    }
    Err(WeightError::Checksum { path, expected: entry.sha256.clone(), found })
}
