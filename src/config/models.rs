//! `[models]`: which models are served, and where their files are.

use std::path::PathBuf;

use super::setting::Setting;
use super::sources::Section;
use crate::domain::linear::LinearCompute;

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
    /// Number format of linear layers: `auto`, `bf16`, `int8` or `fp8`. `WANSERVE_MODELS_LINEAR_FORMAT`, default
    /// `auto`: int8 on cards of 24 to 32 GB, which hold the large models in no other, else as the files have it.
    pub linear_format: LinearFormat,
}

/// The format of linear layers, or the device's choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinearFormat {
    Auto,
    This(LinearCompute),
}

impl Setting for LinearFormat {
    fn parse(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        text.parse().map(Self::This).map_err(|why| format!("{text:?}: {why}"))
    }

    fn show(&self) -> String {
        match self {
            Self::Auto => "`auto`".to_owned(),
            Self::This(format) => format!("`{format}`"),
        }
    }
}

impl Models {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self {
            dirs: section.field("dirs", vec![PathBuf::from("models")]),
            serve: section.field("serve", vec!["wan-tiny".to_owned()]),
            openai_aliases: section.field("openai_aliases", true),
            linear_format: section.field("linear_format", LinearFormat::Auto),
        }
    }
}
