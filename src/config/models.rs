//! `[models]`: which models are served, and where their files are.

use std::path::PathBuf;

use super::sources::Section;

/// The models of this installation.
#[derive(Debug, Clone)]
pub struct Models {
    /// Folders searched in order for `<id>/model.json`. `WANSERVE_MODELS_DIRS`, default `models`: the one of a clone.
    pub dirs: Vec<PathBuf>,
    /// Ids of the models to serve, best first; `synth:<id>` makes random weights of that shape.
    /// `WANSERVE_MODELS_SERVE`, default `wan-tiny`: the bundled one, which runs without a GPU.
    pub serve: Vec<String>,
    /// Whether `sora-2` and `sora-2-pro` mean the best served model. `WANSERVE_MODELS_OPENAI_ALIASES`,
    /// default `true`: programs written for OpenAI's names work unchanged.
    pub openai_aliases: bool,
}

impl Models {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self {
            dirs: section.field("dirs", vec![PathBuf::from("models")]),
            serve: section.field("serve", vec!["wan-tiny".to_owned()]),
            openai_aliases: section.field("openai_aliases", true),
        }
    }
}
