//! Finds models: by id in the models folders, or synthetic ones by name. Reads manifests, never weights.

use std::path::{Path, PathBuf};

use super::manifest::MANIFEST_FILE;
use super::synth::{SYNTHETIC_MODELS, SYNTHETIC_PREFIX};
use super::{Model, WeightError};

/// The folders that hold a folder for each model.
#[derive(Debug, Clone)]
pub struct Library {
    folders: Vec<PathBuf>,
}

impl Library {
    /// Searches `folders` in order; one that does not exist holds no model.
    pub fn new(folders: Vec<PathBuf>) -> Self {
        Self { folders }
    }

    /// Also searches beside the program: `models/` next to it, and above it, where a clone's build folder lies.
    pub fn beside(mut self, program: &Path) -> Self {
        let above = program.ancestors().skip(1).take(LEVELS_ABOVE_PROGRAM);
        self.folders.extend(above.map(|folder| folder.join("models")));
        self
    }

    /// The folders, in the order of the search.
    pub fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// The model of that id.
    pub fn find(&self, id: &str) -> Result<Model, WeightError> {
        let id = id.to_ascii_lowercase();
        if id.starts_with(SYNTHETIC_PREFIX) {
            return Model::synthetic(&id).ok_or_else(|| self.unknown(&id));
        }
        let folder = self.model_folders().into_iter().find(|folder| is_named(folder, &id));
        let model = Model::in_folder(&folder.ok_or_else(|| self.unknown(&id))?)?;
        if model.id().as_str() == id {
            return Ok(model);
        }
        let path = model.folder().unwrap_or(Path::new("")).join(MANIFEST_FILE);
        Err(WeightError::Manifest {
            path,
            reason: format!("the folder is `{id}`, the model `{}`", model.id()),
        })
    }

    /// Every model with files, in the order of the search; broken ones as their error.
    pub fn list(&self) -> Vec<Result<Model, WeightError>> {
        self.model_folders().iter().map(|folder| Model::in_folder(folder)).collect()
    }

    fn unknown(&self, id: &str) -> WeightError {
        let found = self.model_folders();
        let names =
            found.iter().filter_map(|folder| Some(folder.file_name()?.to_string_lossy().into_owned()));
        let synthetic = SYNTHETIC_MODELS.iter().map(|name| format!("{SYNTHETIC_PREFIX}{name}"));
        WeightError::UnknownModel { id: id.to_owned(), known: names.chain(synthetic).collect() }
    }

    /// Folders with a manifest, each name once.
    fn model_folders(&self) -> Vec<PathBuf> {
        let mut found: Vec<PathBuf> = Vec::new();
        for entries in self.folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok()) {
            let mut here: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
            here.sort();
            for folder in here.into_iter().filter(|folder| folder.join(MANIFEST_FILE).is_file()) {
                let seen = found.iter().any(|other| other.file_name() == folder.file_name());
                if !seen {
                    found.push(folder);
                }
            }
        }
        found
    }
}

/// `target/release/wanserve` of a clone lies three folders below it.
const LEVELS_ABOVE_PROGRAM: usize = 3;

fn is_named(folder: &Path, id: &str) -> bool {
    folder.file_name().is_some_and(|name| name.to_string_lossy().eq_ignore_ascii_case(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_model_is_found_beside_a_built_program() {
        let clone = Path::new(env!("CARGO_MANIFEST_DIR"));
        let library =
            Library::new(vec![PathBuf::from("no/such/folder")]).beside(&clone.join("target/debug/wanserve"));
        assert_eq!(library.find("WAN-Tiny").unwrap().id().as_str(), "wan-tiny");
        assert!(library.list().iter().all(Result::is_ok));
    }

    #[test]
    fn an_unknown_model_is_answered_with_the_known_ones() {
        let message = Library::new(Vec::new()).find("wan3").unwrap_err().to_string();
        assert!(message.contains("wan3") && message.contains("synth:wan2.1-t2v-14b"), "{message}");
        assert!(Library::new(Vec::new()).find("synth:wan2.2-i2v-a14b-int8").is_ok());
        assert!(Library::new(Vec::new()).find("synth:nothing").is_err());
        assert!(Library::new(vec![PathBuf::from(".")]).find("../src").is_err());
    }
}
