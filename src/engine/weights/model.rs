//! One model that can be opened: a folder with a manifest, or a synthetic one. Hands out sources; loads nothing itself.

use std::path::{Path, PathBuf};

use super::architecture::{Architecture, Expert};
use super::check::check_file;
use super::manifest::{FileEntry, Manifest};
use super::synth::{self, SYNTHETIC_PREFIX, SyntheticSource};
use super::{SafetensorsFile, WeightError, WeightSource, WeightType};
use crate::domain::model::{Capabilities, ModelId};
use crate::engine::models::ExpectedTensor;
use crate::engine::text::Tokenizer;

/// A model that was found, with every shape known.
#[derive(Debug, Clone)]
pub struct Model {
    id: ModelId,
    owned_by: String,
    created: i64,
    architecture: Architecture,
    capabilities: Capabilities,
    files: Files,
}

#[derive(Debug, Clone)]
enum Files {
    Folder { folder: PathBuf, manifest: Box<Manifest> },
    Synthetic,
}

/// The networks of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    Transformer(Expert),
    Vae,
    TextEncoder,
}

/// A source that can be handed to another thread.
pub type BoxedSource = Box<dyn WeightSource + Send + Sync>;

/// The seeds of a synthetic model's parts: each its own, and always the same.
const TRANSFORMER_SEED: u64 = 1;
const LOW_TRANSFORMER_SEED: u64 = 2;
const VAE_SEED: u64 = 3;
const TEXT_ENCODER_SEED: u64 = 4;

impl Model {
    /// The model in a folder; reads its manifest only.
    pub fn in_folder(folder: &Path) -> Result<Self, WeightError> {
        let manifest = Manifest::read(folder)?;
        Ok(Self {
            id: manifest.id.clone(),
            owned_by: manifest.owned_by.clone(),
            created: manifest.created,
            architecture: manifest.architecture(),
            capabilities: manifest.capabilities.clone(),
            files: Files::Folder { folder: folder.to_owned(), manifest: Box::new(manifest) },
        })
    }

    /// The synthetic model of that name, with or without its prefix; `None` for an unknown one.
    pub fn synthetic(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let name = name.strip_prefix(SYNTHETIC_PREFIX).unwrap_or(&name);
        let (architecture, capabilities) = synth::describe(name)?;
        Some(Self {
            id: ModelId::new(&format!("{SYNTHETIC_PREFIX}{name}")),
            owned_by: "wanserve".to_owned(),
            created: 0,
            architecture,
            capabilities,
            files: Files::Synthetic,
        })
    }

    pub fn id(&self) -> &ModelId {
        &self.id
    }

    pub fn owned_by(&self) -> &str {
        &self.owned_by
    }

    /// Unix seconds; 0 for a synthetic model.
    pub fn created(&self) -> i64 {
        self.created
    }

    /// Every shape.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// The manifest; `None` for a synthetic model.
    pub fn manifest(&self) -> Option<&Manifest> {
        match &self.files {
            Files::Folder { manifest, .. } => Some(manifest),
            Files::Synthetic => None,
        }
    }

    /// The folder; `None` for a synthetic model.
    pub fn folder(&self) -> Option<&Path> {
        match &self.files {
            Files::Folder { folder, .. } => Some(folder),
            Files::Synthetic => None,
        }
    }

    /// A transformer's tensors, checked against the architecture. A model with one expert has it at either noise.
    pub fn transformer(&self, expert: Expert) -> Result<BoxedSource, WeightError> {
        let low = expert == Expert::Low && self.architecture.experts.contains(&Expert::Low);
        self.open_part(Part {
            file: self.manifest().map(|manifest| manifest.transformer_file(expert)),
            expected: self.architecture.transformer_tensors(),
            seed: if low { LOW_TRANSFORMER_SEED } else { TRANSFORMER_SEED },
            weights: WeightType::BF16,
            norms: WeightType::F32,
        })
    }

    /// The autoencoder's tensors, checked against the architecture.
    pub fn vae(&self) -> Result<BoxedSource, WeightError> {
        self.open_part(Part {
            file: self.manifest().map(|manifest| &manifest.vae.file),
            expected: self.architecture.vae_tensors(),
            seed: VAE_SEED,
            weights: WeightType::F32,
            norms: WeightType::F32,
        })
    }

    /// The text encoder's tensors, checked against the architecture.
    pub fn text_encoder(&self) -> Result<BoxedSource, WeightError> {
        self.open_part(Part {
            file: self.manifest().map(|manifest| &manifest.text_encoder.file),
            expected: self.architecture.text_encoder_tensors(),
            seed: TEXT_ENCODER_SEED,
            weights: WeightType::BF16,
            norms: WeightType::BF16,
        })
    }

    /// Says where a network's numbers are from: equal for models that share them.
    pub fn source(&self, network: Network) -> String {
        let Some(manifest) = self.manifest() else {
            let shapes = match network {
                Network::Transformer(expert) => format!("{expert:?} of {}", self.id),
                Network::Vae => format!("{:?}", self.architecture.vae),
                Network::TextEncoder => format!("{:?}", self.architecture.text_encoder),
            };
            return format!("{SYNTHETIC_PREFIX}{shapes}");
        };
        let entry = match network {
            Network::Transformer(expert) => manifest.transformer_file(expert),
            Network::Vae => &manifest.vae.file,
            Network::TextEncoder => &manifest.text_encoder.file,
        };
        entry.sha256.clone()
    }

    /// Says which ids a prompt becomes: equal for models whose tokenizers are the same and keep as many.
    pub fn tokenizer_source(&self) -> String {
        let max_tokens = self.architecture.max_tokens;
        match &self.files {
            Files::Synthetic => {
                format!("{SYNTHETIC_PREFIX}{}, {max_tokens}", self.architecture.text_encoder.vocab)
            }
            Files::Folder { manifest, .. } => {
                format!("{}, {max_tokens}", manifest.text_encoder.tokenizer.sha256)
            }
        }
    }

    /// The text encoder's tokenizer.
    pub fn tokenizer(&self) -> Result<Tokenizer, WeightError> {
        let (vocabulary, max_tokens) = (self.architecture.text_encoder.vocab, self.architecture.max_tokens);
        match &self.files {
            Files::Synthetic => Ok(Tokenizer::synthetic(vocabulary, max_tokens)),
            Files::Folder { folder, manifest } => {
                let path = manifest.text_encoder.tokenizer.locate(folder)?;
                Ok(Tokenizer::open(&path, vocabulary, max_tokens)?)
            }
        }
    }

    fn open_part(&self, part: Part<'_>) -> Result<BoxedSource, WeightError> {
        let Some((folder, entry)) = self.folder().zip(part.file) else {
            return Ok(Box::new(SyntheticSource::new(part.expected, part.seed, part.weights, part.norms)));
        };
        let path = entry.locate(folder)?;
        let file = SafetensorsFile::open(&path)?;
        check_file(&file, &part.expected, &path)?;
        Ok(Box::new(file))
    }
}

/// One network of a model.
struct Part<'a> {
    /// Where its tensors are; `None` makes them.
    file: Option<&'a FileEntry>,
    expected: Vec<ExpectedTensor>,
    seed: u64,
    weights: WeightType,
    norms: WeightType,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::weights::check;

    fn bundled() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("models/wan-tiny")
    }

    #[test]
    fn the_bundled_model_opens_and_has_every_tensor() {
        let model = Model::in_folder(&bundled()).unwrap();
        assert_eq!(
            model.transformer(Expert::High).unwrap().names().len(),
            model.architecture().transformer_tensors().len()
        );
        assert_eq!(model.vae().unwrap().names().len(), model.architecture().vae_tensors().len());
        assert!(model.text_encoder().unwrap().contains("token_embedding.weight"));
        assert_eq!(model.tokenizer().unwrap().encode("a red ball").unwrap().ids.len(), 64);
    }

    #[test]
    fn the_synthetic_twin_has_the_shapes_of_the_bundled_model() {
        let (real, twin) =
            (Model::in_folder(&bundled()).unwrap(), Model::synthetic("synth:wan-tiny").unwrap());
        assert_eq!(real.architecture().transformer, twin.architecture().transformer);
        assert_eq!(real.architecture().vae_tensors(), twin.architecture().vae_tensors());
        assert_eq!(real.architecture().text_encoder, twin.architecture().text_encoder);
        check(twin.transformer(Expert::High).unwrap().as_ref(), &real.architecture().transformer_tensors())
            .unwrap();
    }

    #[test]
    fn a_tokenizer_is_another_with_another_file_or_another_end() {
        let [bundled, synthetic] =
            [Model::in_folder(&bundled()).unwrap(), Model::synthetic("synth:wan-tiny").unwrap()];
        assert_ne!(bundled.tokenizer_source(), synthetic.tokenizer_source());
        for model in [bundled, synthetic] {
            let mut shorter = model.clone();
            assert_eq!(shorter.tokenizer_source(), model.tokenizer_source());
            shorter.architecture.max_tokens /= 2;
            assert_ne!(shorter.tokenizer_source(), model.tokenizer_source());
        }
    }

    #[test]
    fn a_cut_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        for entry in
            std::fs::read_dir(bundled()).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_file())
        {
            std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
        let vae = folder.path().join("vae.safetensors");
        let whole = std::fs::read(&vae).unwrap();
        std::fs::write(&vae, &whole[..whole.len() - 1]).unwrap();
        let message = Model::in_folder(folder.path()).unwrap().vae().err().unwrap().to_string();
        assert!(message.contains("vae.safetensors"), "{message}");
    }
}
