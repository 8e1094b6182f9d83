//! Published checkpoints → a model folder: recognised by their shapes, checked key by key, written as safetensors with a
//! manifest. The folder appears whole or not at all. Meant to run in a confined process: its inputs are strangers' files.
//!
//! Read in this order: what a file is (`checkpoint`), what it is of (`recognise`), what the user adds (`description`).

mod checkpoint;
mod description;
mod recognise;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use crate::domain::model::{Capabilities, ModelId};
use crate::domain::size::Resolution;
use crate::domain::video::AttentionType;
use crate::engine::models::ExpectedTensor;
use crate::engine::text::Tokenizer;

use super::architecture::{Architecture, published_capabilities};
use super::check::check_file;
use super::digest::sha256_of;
use super::manifest::{FileEntry, MANIFEST_FILE, Manifest, ManifestParts};
use super::{Library, Model, WeightError, write_safetensors};
use checkpoint::Checkpoint;
use description::Description;
use recognise::recognise;

/// The files of a model, and where it goes.
#[derive(Debug, Clone)]
pub struct Import {
    /// The transformer, or the high-noise one of a pair.
    pub transformer: PathBuf,
    pub low_transformer: Option<PathBuf>,
    pub vae: PathBuf,
    pub text_encoder: PathBuf,
    pub tokenizer: PathBuf,
    /// Shapes that are not the published ones.
    pub description: Option<PathBuf>,
    pub id: ModelId,
    /// The folder of all models.
    pub models_folder: PathBuf,
    /// Unix seconds.
    pub created: i64,
}

impl Import {
    /// Every file that is read.
    pub fn inputs(&self) -> impl Iterator<Item = &Path> {
        let files = [&self.transformer, &self.vae, &self.text_encoder, &self.tokenizer];
        files.into_iter().chain(&self.low_transformer).chain(&self.description).map(PathBuf::as_path)
    }

    /// Checks everything, then writes `<models folder>/<id>`, which must not exist yet.
    pub fn run(&self) -> Result<Manifest, WeightError> {
        self.check_target()?;
        let transformers: Vec<Checkpoint> =
            self.transformers().map(Checkpoint::open).collect::<Result<_, _>>()?;
        let (vae, text_encoder) = (Checkpoint::open(&self.vae)?, Checkpoint::open(&self.text_encoder)?);
        let description = Description::read(self.description.as_deref())?;
        let (architecture, capabilities) = self.describe(&transformers, description)?;

        let expected = architecture.transformer_tensors();
        for transformer in &transformers {
            check_file(transformer.source(), &expected, transformer.path())?;
        }
        check_file(vae.source(), &architecture.vae_tensors(), vae.path())?;
        check_file(text_encoder.source(), &architecture.text_encoder_tensors(), text_encoder.path())?;
        Tokenizer::open(&self.tokenizer, architecture.text_encoder.vocab, architecture.max_tokens)?;

        let staging = Staging::create(&self.models_folder, &self.id)?;
        let names: &[&str] = match transformers.len() {
            1 => &["transformer.safetensors"],
            _ => &["transformer_high.safetensors", "transformer_low.safetensors"],
        };
        let files = transformers.iter().zip(names).map(|(file, name)| staging.convert(file, &expected, name));
        let manifest = Manifest::of(ManifestParts {
            id: self.id.clone(),
            created: self.created,
            transformers: files.collect::<Result<_, _>>()?,
            vae: staging.convert(&vae, &architecture.vae_tensors(), "vae.safetensors")?,
            text_encoder: staging.convert(
                &text_encoder,
                &architecture.text_encoder_tensors(),
                "text_encoder.safetensors",
            )?,
            tokenizer: staging.copy(&self.tokenizer, "tokenizer.json")?,
            architecture,
            capabilities,
        })?;
        staging.publish(&manifest, &self.target())?;
        Ok(manifest)
    }

    fn transformers(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(self.transformer.as_path()).chain(self.low_transformer.as_deref())
    }

    fn target(&self) -> PathBuf {
        self.models_folder.join(self.id.as_str())
    }

    fn check_target(&self) -> Result<(), WeightError> {
        let target = self.target();
        let plain = |symbol: char| symbol.is_ascii_alphanumeric() || matches!(symbol, '.' | '-' | '_');
        let id = self.id.as_str();
        if id.is_empty() || id.starts_with('.') || !id.chars().all(plain) {
            let reason = "an id is made of letters, digits, dots, dashes and underscores".to_owned();
            return Err(WeightError::Manifest { path: target, reason });
        }
        if target.exists() {
            return Err(WeightError::Manifest { path: target, reason: "exists already".to_owned() });
        }
        Ok(())
    }

    /// Shapes and abilities: described where the user does, recognised where not.
    fn describe(
        &self,
        transformers: &[Checkpoint],
        description: Description,
    ) -> Result<(Architecture, Capabilities), WeightError> {
        let found = recognise(transformers[0].shapes()).map_err(|error| error.of_file(&self.transformer))?;
        let config = match description.transformer {
            Some(config) => config,
            None => found.published().map_err(|error| error.of_file(&self.transformer))?,
        };
        let published = Architecture::published(config, found.linear_format);
        let architecture = Architecture {
            experts: Architecture::experts_of(transformers.len()),
            sparse_linear: found.sparse_linear,
            vae: description.vae.unwrap_or(published.vae),
            text_encoder: description.text_encoder.unwrap_or(published.text_encoder),
            max_tokens: description.max_tokens.unwrap_or(published.max_tokens),
            attention: description.attention.unwrap_or(published.attention),
            ..published
        };
        if let Some(reason) = architecture.problem() {
            return Err(WeightError::Manifest { path: self.target(), reason });
        }
        let capabilities = description.capabilities.unwrap_or_else(|| self.abilities(&architecture));
        Ok((architecture, capabilities))
    }

    /// What a published model of this name can do.
    fn abilities(&self, architecture: &Architecture) -> Capabilities {
        let best = if self.id.as_str().contains("720p") { Resolution::P720 } else { Resolution::P480 };
        let mut abilities = published_capabilities(architecture.transformer.model_type, best);
        abilities.experts = architecture.experts.len() as u32;
        if !architecture.sparse_linear {
            abilities.attention_types = vec![AttentionType::Original];
            abilities.default_attention_type = AttentionType::Original;
        }
        abilities
    }
}

/// A model folder being written beside its place; removed unless it gets there.
struct Staging {
    folder: tempfile::TempDir,
    /// Models that are there already.
    others: Vec<Model>,
}

impl Staging {
    fn create(models_folder: &Path, id: &ModelId) -> Result<Self, WeightError> {
        std::fs::create_dir_all(models_folder).map_err(WeightError::io(models_folder))?;
        let folder = tempfile::Builder::new().prefix(&format!(".importing-{id}-")).tempdir_in(models_folder);
        let others = Library::new(vec![models_folder.to_owned()]).list().into_iter().filter_map(Result::ok);
        Ok(Self { folder: folder.map_err(WeightError::io(models_folder))?, others: others.collect() })
    }

    /// Writes the tensors of a checkpoint, as stored.
    fn convert(
        &self,
        checkpoint: &Checkpoint,
        expected: &[ExpectedTensor],
        name: &str,
    ) -> Result<FileEntry, WeightError> {
        let tensors: Vec<(&str, &[usize])> =
            expected.iter().map(|tensor| (tensor.name.as_str(), tensor.shape.as_slice())).collect();
        write_safetensors(&self.folder.path().join(name), checkpoint.source(), &tensors)?;
        self.entry(name)
    }

    fn copy(&self, from: &Path, name: &str) -> Result<FileEntry, WeightError> {
        std::fs::copy(from, self.folder.path().join(name)).map_err(WeightError::io(from))?;
        self.entry(name)
    }

    fn entry(&self, name: &str) -> Result<FileEntry, WeightError> {
        let path = self.folder.path().join(name);
        open_to_all(&path, FILE_MODE)?;
        let (sha256, bytes) = sha256_of(&path)?;
        let entry = FileEntry { file: name.into(), sha256, bytes };
        self.share(&entry);
        Ok(entry)
    }

    /// Models share autoencoder and text encoder (11 GB): a file that another model has takes its space once.
    /// Where the file system has no hard links, the copy stays.
    fn share(&self, entry: &FileEntry) {
        let same = |other: &&FileEntry| other.sha256 == entry.sha256 && other.bytes == entry.bytes;
        let twin = self.others.iter().find_map(|model| {
            let other = model.manifest()?.files().find(same)?;
            other.locate(model.folder()?).ok()
        });
        let (own, link) = (self.folder.path().join(&entry.file), self.folder.path().join("link"));
        if let Some(twin) = twin
            && std::fs::hard_link(twin, &link).is_ok()
            && std::fs::rename(&link, &own).is_err()
        {
            // The copy is still in its place; a stray name would go with the folder into the library.
            std::fs::remove_file(&link).ok();
        }
    }

    /// Gives the folder its name, complete with manifest.
    fn publish(self, manifest: &Manifest, target: &Path) -> Result<(), WeightError> {
        let path = self.folder.path().join(MANIFEST_FILE);
        std::fs::write(&path, manifest.to_json()).map_err(WeightError::io(&path))?;
        open_to_all(self.folder.path(), FOLDER_MODE)?;
        std::fs::rename(self.folder.path(), target).map_err(WeightError::io(target))
    }
}

/// What is written is private at first; the worker may be another user.
const FILE_MODE: u32 = 0o644;
const FOLDER_MODE: u32 = 0o755;

fn open_to_all(path: &Path, mode: u32) -> Result<(), WeightError> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(WeightError::io(path))
}
