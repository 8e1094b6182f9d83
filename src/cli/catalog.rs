//! The models of the configuration, as requests are judged by them.

use anyhow::{Context, Result};

use crate::config::Models;
use crate::domain::linear::LinearCompute;
use crate::domain::request::{DeployedModel, ModelCatalog};
use crate::engine::models::wan::LinearFormat;
use crate::engine::weights::{Library, Model};

/// Also searched beside the program, so that a clone's build finds the bundled model from any folder.
pub(super) fn library(models: &Models) -> Library {
    let library = Library::new(models.dirs.clone());
    match std::env::current_exe() {
        Ok(program) => library.beside(&program),
        Err(_) => library,
    }
}

/// Every configured model, computing in `linear`. Fails with the first that is not there.
pub(super) fn deployed(models: &Models, linear: LinearCompute) -> Result<ModelCatalog> {
    let library = library(models);
    let find = |id: &String| library.find(id).with_context(|| format!("models.serve: {id}"));
    let deployed = models.serve.iter().map(|id| find(id).map(|model| deployed_model(&model, linear)));
    Ok(ModelCatalog::new(deployed.collect::<Result<_>>()?, models.openai_aliases))
}

/// A model as requests are judged by it: in the number format of its files, or in the one that it is deployed with.
pub(super) fn deployed_model(model: &Model, linear: LinearCompute) -> DeployedModel {
    DeployedModel {
        id: model.id().clone(),
        capabilities: model.capabilities().clone(),
        quant_linear: vec![
            model.architecture().linear_format == LinearFormat::Int8 || linear == LinearCompute::Int8,
        ],
        created: model.created(),
        owned_by: model.owned_by().to_owned(),
    }
}
