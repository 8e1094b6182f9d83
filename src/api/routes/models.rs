//! `/v1/models`: what can be used now, and what it can do. A model without a worker is not there.

use actix_web::{HttpResponse, get, web};

use crate::api::auth::{Caller, ReadModels};
use crate::api::dto::{Measured, ModelList, ModelObject};
use crate::api::errors::{ApiError, ErrorCode};
use crate::api::state::Api;

/// List the models
#[utoipa::path(operation_id = "listModels", tag = "Models", responses((status = 200, description = "Every model that has a worker.", body = ModelList)))]
#[get("/v1/models")]
pub(crate) async fn list_models(
    _: Caller<ReadModels>,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let mut data = Vec::new();
    for model in api.catalog.models().iter().filter(|model| api.jobs.serves(&model.id)) {
        data.push(ModelObject::new(model, measured(&api, model.id.as_str()).await?));
    }
    Ok(HttpResponse::Ok().json(ModelList { object: "list", data }))
}

/// Read a model
#[utoipa::path(
    operation_id = "retrieveModel",
    tag = "Models",
    params(("model" = String, Path, example = "wan-tiny")),
    responses((status = 200, description = "The model.", body = ModelObject)),
)]
#[get("/v1/models/{model}")]
pub(crate) async fn get_model(
    _: Caller<ReadModels>,
    id: web::Path<String>,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let Some(model) = api.catalog.get(&id).filter(|model| api.jobs.serves(&model.id)) else {
        return Err(ApiError::new(ErrorCode::ModelNotFound, "no such model").about("model"));
    };
    Ok(HttpResponse::Ok().json(ModelObject::new(model, measured(&api, model.id.as_str()).await?)))
}

async fn measured(api: &Api, model: &str) -> Result<Measured, ApiError> {
    let estimates = api.store.estimates().await?;
    let mut ours: Vec<_> =
        estimates.into_iter().filter(|estimate| estimate.shape.model.as_str() == model).collect();
    // Clips of several lengths share a name: the length that was made most often stands for it.
    ours.sort_by_key(|estimate| estimate.samples);
    let mut measured = Measured::default();
    for estimate in ours {
        let name = format!("{}/{}", estimate.shape.resolution.as_str(), estimate.shape.steps);
        measured.typical_seconds.insert(name, estimate.typical_seconds());
        for (quantized, bytes) in estimate.peak_memory_bytes {
            let most = measured.min_vram_bytes.entry(quantized.to_string()).or_default();
            *most = bytes.max(*most);
        }
    }
    Ok(measured)
}
