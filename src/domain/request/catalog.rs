//! The deployed models, and which of them a name means.

use super::fault::{BadRequest, RequestFault};
use crate::domain::model::{Capabilities, ModelId};
use crate::domain::size::Resolution;
use crate::domain::video::Operation;

/// A model that workers can run now.
#[derive(Debug, Clone, PartialEq)]
pub struct DeployedModel {
    pub id: ModelId,
    pub capabilities: Capabilities,
    /// Deployed number formats, the default first; `true` is int8 linear layers. Never empty.
    pub quant_linear: Vec<bool>,
    /// Unix seconds.
    pub created: i64,
    pub owned_by: String,
}

/// The models of this installation.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelCatalog {
    models: Vec<DeployedModel>,
    /// Whether `sora-2` and `sora-2-pro` are understood.
    openai_aliases: bool,
}

/// What a name stands for.
enum Name<'a> {
    /// One model and no other.
    Concrete(&'a str),
    /// The best that is deployed, preferably this one.
    Best { text: &'static str, image: &'static str },
    /// Exactly this one for the task.
    Pinned { text: &'static str, image: &'static str },
}

const TEXT_SMALL: &str = "turbowan2.1-t2v-1.3b-480p";
const TEXT_LARGE_480: &str = "turbowan2.1-t2v-14b-480p";
const TEXT_LARGE_720: &str = "turbowan2.1-t2v-14b-720p";
const IMAGE: &str = "turbowan2.2-i2v-a14b-720p";

impl ModelCatalog {
    /// `openai_aliases` says whether the names of OpenAI's models are understood.
    pub fn new(models: Vec<DeployedModel>, openai_aliases: bool) -> Self {
        Self { models, openai_aliases }
    }

    /// Every deployed model.
    pub fn models(&self) -> &[DeployedModel] {
        &self.models
    }

    /// The model with this id, in any case of letters.
    pub fn get(&self, id: &str) -> Option<&DeployedModel> {
        self.models.iter().find(|model| model.id.as_str().eq_ignore_ascii_case(id))
    }

    /// The model that `name` (absent: `auto`) means for text or for a picture, at `resolution` if one is asked for.
    pub(super) fn choose(
        &self,
        name: Option<&str>,
        with_image: bool,
        resolution: Option<Resolution>,
    ) -> Result<&DeployedModel, BadRequest> {
        let wanted = name.unwrap_or("auto").to_ascii_lowercase();
        let missing = |id: &str| {
            BadRequest::new(
                RequestFault::ModelNotFound,
                "model",
                format!("the model `{id}` is not available"),
            )
        };
        let model = match self.meaning(&wanted, resolution) {
            Name::Concrete(id) => self.get(id).ok_or_else(|| missing(&wanted))?,
            Name::Pinned { text, image } => {
                self.get(if with_image { image } else { text }).ok_or_else(|| missing(&wanted))?
            }
            Name::Best { text, image } => self
                .get(if with_image { image } else { text })
                .or_else(|| self.best_for(with_image))
                .ok_or_else(|| missing(&wanted))?,
        };
        if does(model, with_image) {
            return Ok(model);
        }
        let message = if with_image {
            format!("the model `{}` makes videos from text only", model.id)
        } else {
            format!("the model `{}` makes videos from a picture only", model.id)
        };
        Err(BadRequest::new(RequestFault::ModelOperation, "model", message))
    }

    fn meaning<'a>(&self, name: &'a str, resolution: Option<Resolution>) -> Name<'a> {
        let large = if resolution == Some(Resolution::P480) { TEXT_LARGE_480 } else { TEXT_LARGE_720 };
        match name {
            "auto" => Name::Best { text: TEXT_SMALL, image: IMAGE },
            "pro" => Name::Pinned { text: large, image: IMAGE },
            "wan2.1-1.3b" => Name::Concrete(TEXT_SMALL),
            "wan2.1-14b" => Name::Concrete(large),
            "wan2.2-a14b" => Name::Concrete(IMAGE),
            sora if self.openai_aliases && is_alias_of(sora, "sora-2-pro") => {
                Name::Best { text: large, image: IMAGE }
            }
            sora if self.openai_aliases && is_alias_of(sora, "sora-2") => {
                Name::Best { text: TEXT_SMALL, image: IMAGE }
            }
            other => Name::Concrete(other),
        }
    }

    fn best_for(&self, with_image: bool) -> Option<&DeployedModel> {
        let able = self.models.iter().filter(|model| does(model, with_image));
        able.rev().max_by_key(|model| model.capabilities.best_resolution)
    }
}

/// `name` is `base` or one of its dated snapshots (`sora-2-2025-10-06`).
fn is_alias_of(name: &str, base: &str) -> bool {
    let Some(rest) = name.strip_prefix(base) else { return false };
    rest.is_empty()
        || rest.strip_prefix('-').is_some_and(|date| date.starts_with(|c: char| c.is_ascii_digit()))
}

fn does(model: &DeployedModel, with_image: bool) -> bool {
    let operation = if with_image { Operation::ImageToVideo } else { Operation::TextToVideo };
    model.capabilities.operations.contains(&operation)
}
