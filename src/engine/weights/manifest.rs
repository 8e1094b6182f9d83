//! `model.json`: what a model folder holds. The one place that knows its format; paths in it never leave the models folder.

use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::WeightError;
use super::architecture::{Architecture, AttentionBlocks, Expert};
use crate::domain::model::{Capabilities, ModelId};
use crate::domain::video::AttentionType;
use crate::engine::models::umt5::Umt5Config;
use crate::engine::models::vae::VaeConfig;
use crate::engine::models::wan::{LinearFormat, WanConfig};

/// The file's name in a model's folder.
pub const MANIFEST_FILE: &str = "model.json";

/// The format that this program reads and writes.
const FORMAT: u32 = 1;

/// A larger manifest is a mistake.
const MAX_BYTES: u64 = 1 << 20;

/// A model folder's table of contents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    format: u32,
    pub id: ModelId,
    family: Family,
    pub owned_by: String,
    /// Unix seconds.
    pub created: i64,
    pub transformer: TransformerEntry,
    pub vae: VaeEntry,
    pub text_encoder: TextEncoderEntry,
    pub attention: AttentionBlocks,
    pub capabilities: Capabilities,
}

/// Families that the engine has networks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Family {
    Wan,
}

/// The transformer, or the pair of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TransformerEntry {
    pub config: WanConfig,
    pub files: TransformerFiles,
    pub linear_format: LinearFormat,
}

/// One file an expert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TransformerFiles {
    Single { single: FileEntry },
    Pair { high: FileEntry, low: FileEntry },
}

/// The autoencoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VaeEntry {
    pub config: VaeConfig,
    pub file: FileEntry,
}

/// The text encoder and its tokenizer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TextEncoderEntry {
    pub config: Umt5Config,
    pub file: FileEntry,
    pub tokenizer: FileEntry,
    pub max_tokens: usize,
}

/// A file of the model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Relative to the model's folder; may name a sibling's file that models share (`../other/vae.safetensors`).
    pub file: PathBuf,
    /// 64 lower-case hex digits.
    pub sha256: String,
    pub bytes: u64,
}

/// What a manifest is made of when a model is imported.
pub struct ManifestParts {
    pub id: ModelId,
    pub created: i64,
    pub architecture: Architecture,
    /// One file, or two in order of noise.
    pub transformers: Vec<FileEntry>,
    pub vae: FileEntry,
    pub text_encoder: FileEntry,
    pub tokenizer: FileEntry,
    pub capabilities: Capabilities,
}

impl Manifest {
    /// Reads and checks `<folder>/model.json`.
    pub fn read(folder: &Path) -> Result<Self, WeightError> {
        let path = folder.join(MANIFEST_FILE);
        let bad = |reason: String| WeightError::Manifest { path: path.clone(), reason };
        let bytes = std::fs::metadata(&path).map_err(WeightError::io(&path))?.len();
        if bytes > MAX_BYTES {
            return Err(bad(format!("{bytes} bytes are too many")));
        }
        let text = std::fs::read(&path).map_err(WeightError::io(&path))?;
        let manifest: Self = serde_json::from_slice(&text).map_err(|error| bad(error.to_string()))?;
        if manifest.format != FORMAT {
            return Err(bad(format!("format {} is not {FORMAT}", manifest.format)));
        }
        manifest.architecture().problem().map_or(Ok(()), |problem| Err(bad(problem)))?;
        let outside = manifest.files().find(|entry| entry.depth_below_models().is_none());
        if let Some(entry) = outside {
            return Err(bad(format!("`{}` leads out of the models folder", entry.file.display())));
        }
        Ok(manifest)
    }

    /// Puts the parts of an imported model together.
    pub fn of(parts: ManifestParts) -> Result<Self, WeightError> {
        let Architecture { transformer, linear_format, vae, text_encoder, max_tokens, attention, .. } =
            parts.architecture;
        let files = match <[FileEntry; 2]>::try_from(parts.transformers) {
            Ok([high, low]) => TransformerFiles::Pair { high, low },
            Err(mut one) if one.len() == 1 => TransformerFiles::Single { single: one.remove(0) },
            Err(_) => {
                let reason = "a model has one transformer or two".to_owned();
                return Err(WeightError::Manifest { path: PathBuf::from(MANIFEST_FILE), reason });
            }
        };
        Ok(Self {
            format: FORMAT,
            id: parts.id,
            family: Family::Wan,
            owned_by: "wanserve".to_owned(),
            created: parts.created,
            transformer: TransformerEntry { config: transformer, files, linear_format },
            vae: VaeEntry { config: vae, file: parts.vae },
            text_encoder: TextEncoderEntry {
                config: text_encoder,
                file: parts.text_encoder,
                tokenizer: parts.tokenizer,
                max_tokens,
            },
            attention,
            capabilities: parts.capabilities,
        })
    }

    /// As written to the file.
    pub fn to_json(&self) -> String {
        let mut text =
            serde_json::to_string_pretty(self).expect("a manifest has only texts, numbers and lists");
        text.push('\n');
        text
    }

    /// Every shape.
    pub fn architecture(&self) -> Architecture {
        let experts = match self.transformer.files {
            TransformerFiles::Single { .. } => vec![Expert::High],
            TransformerFiles::Pair { .. } => vec![Expert::High, Expert::Low],
        };
        let sparse = |kind: &AttentionType| !matches!(kind, AttentionType::Original);
        Architecture {
            transformer: self.transformer.config.clone(),
            experts,
            linear_format: self.transformer.linear_format,
            sparse_linear: self.capabilities.attention_types.iter().any(sparse),
            vae: self.vae.config.clone(),
            text_encoder: self.text_encoder.config.clone(),
            max_tokens: self.text_encoder.max_tokens,
            attention: self.attention,
        }
    }

    /// The file of a transformer.
    pub fn transformer_file(&self, expert: Expert) -> &FileEntry {
        match (&self.transformer.files, expert) {
            (TransformerFiles::Single { single }, _) => single,
            (TransformerFiles::Pair { high, .. }, Expert::High) => high,
            (TransformerFiles::Pair { low, .. }, Expert::Low) => low,
        }
    }

    /// Every file.
    pub fn files(&self) -> impl Iterator<Item = &FileEntry> {
        let transformers = match &self.transformer.files {
            TransformerFiles::Single { single } => vec![single],
            TransformerFiles::Pair { high, low } => vec![high, low],
        };
        let others = [&self.vae.file, &self.text_encoder.file, &self.text_encoder.tokenizer];
        transformers.into_iter().chain(others)
    }
}

impl FileEntry {
    /// Where the file of a model in `folder` is; fails when it is not there in its full length.
    pub fn locate(&self, folder: &Path) -> Result<PathBuf, WeightError> {
        let path = folder.join(&self.file);
        let found = std::fs::metadata(&path).map_err(WeightError::io(&path))?.len();
        if found == self.bytes {
            Ok(path)
        } else {
            Err(WeightError::Length { path, expected: self.bytes, found })
        }
    }

    /// Folders below the models folder at which the file lies; `None` when it would leave it.
    fn depth_below_models(&self) -> Option<usize> {
        self.file.components().try_fold(1, |depth: usize, part| match part {
            Component::Normal(_) => Some(depth + 1),
            Component::CurDir => Some(depth),
            Component::ParentDir => depth.checked_sub(1),
            Component::RootDir | Component::Prefix(_) => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(file: &str) -> FileEntry {
        FileEntry { file: file.into(), sha256: String::new(), bytes: 0 }
    }

    #[test]
    fn a_file_may_be_a_siblings_and_never_leaves_the_models_folder() {
        for good in ["vae.safetensors", "../umt5/text.safetensors", "a/../b"] {
            assert!(entry(good).depth_below_models().is_some(), "{good}");
        }
        for bad in ["/etc/passwd", "../../x", "a/../../../x", "../.."] {
            assert!(entry(bad).depth_below_models().is_none(), "{bad}");
        }
    }

    #[test]
    fn the_bundled_models_manifest_survives_its_text_form() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/wan-tiny");
        let manifest = Manifest::read(&folder).unwrap();
        assert_eq!(serde_json::from_str::<Manifest>(&manifest.to_json()).unwrap(), manifest);
        assert_eq!(manifest.id.as_str(), "wan-tiny");
        assert_eq!(manifest.architecture().experts, [Expert::High]);
    }

    #[test]
    fn mistakes_are_named() {
        let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/wan-tiny");
        let text = std::fs::read_to_string(bundled.join(MANIFEST_FILE)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        for (from, to, part) in [
            ("\"format\": 1", "\"format\": 2", "format 2"),
            ("\"tokenizer.json\"", "\"../../../etc/passwd\"", "leads out"),
            ("\"max_tokens\": 64", "\"max_tokens\": 65", "text_len"),
            ("\"family\": \"wan\"", "\"family\": \"other\"", "other"),
            ("\"num_heads\": 2", "\"num_heads\": 3", "num_heads"),
            ("\"in_dim\": 36", "\"in_dim\": 20", "in_dim of 36"),
            ("\"out_dim\": 16", "\"out_dim\": 8", "out_dim of 16"),
            ("\"z_dim\": 16", "\"z_dim\": 8", "z_dim"),
            ("\"num_layers\": 10", "\"num_layers\": 0", "layers"),
            ("\"num_buckets\": 32", "\"num_buckets\": 2", "num_buckets"),
        ] {
            assert!(text.contains(from), "{from}");
            std::fs::write(folder.path().join(MANIFEST_FILE), text.replace(from, to)).unwrap();
            let message = Manifest::read(folder.path()).unwrap_err().to_string();
            assert!(message.contains(part) && message.contains("model.json"), "{message}");
        }
    }
}
