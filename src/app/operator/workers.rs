//! `/admin/v1/workers…` and `/admin/v1/queue`: who works, what waits, and the orders that an operator gives.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, get, post, web};

use super::dto::{ModelBody, QueueObject, RestartBody, WorkerList, WorkerObject};
use super::{Pool, missing, note};
use crate::api::Api;
use crate::api::parts::{Accepts, ApiError, ErrorCode, Limits, ListObject, Operator, read};
use crate::domain::audit::AuditKind;
use crate::domain::lease::Orders;
use crate::domain::model::ModelId;
use crate::scheduler::{OrderRefused, WorkerView};

/// Seconds that a restart waits for the current job before the job is given back, and the most that it may.
const PATIENCE: u64 = 120;
const MOST_PATIENCE: u64 = 3600;

/// List the workers
#[utoipa::path(operation_id = "listWorkers", tag = "Workers", responses((status = 200, description = "All of them.", body = WorkerList)))]
#[get("/admin/v1/workers")]
pub(super) async fn list(_operator: Operator, pool: web::Data<Pool>) -> Result<HttpResponse, ApiError> {
    let workers = pool.scheduler.workers().iter().map(WorkerObject::new).collect();
    Ok(std::future::ready(HttpResponse::Ok().json(ListObject::new(workers, false, WorkerObject::id))).await)
}

/// Read a worker
#[utoipa::path(operation_id = "getWorker", tag = "Workers", params(("worker" = String, Path, description = "Its id or its name.", example = "cpu")), responses((status = 200, description = "The worker.", body = WorkerObject)))]
#[get("/admin/v1/workers/{worker}")]
pub(super) async fn get(
    _operator: Operator,
    worker: web::Path<String>,
    pool: web::Data<Pool>,
) -> Result<HttpResponse, ApiError> {
    std::future::ready(pool.answer(&worker)).await
}

/// Restart a worker
///
/// `soft` finishes the current job, or gives it back after the timeout or at once without `drain`, and puts a fresh process in
/// the worker's place: all that it held of the device is free then. `hard` kills it; its job goes to another.
#[utoipa::path(operation_id = "restartWorker", tag = "Workers", params(("worker" = String, Path, example = "cpu")), request_body(content = RestartBody, content_type = "application/json", example = json!({"mode": "soft", "timeout_seconds": 60})), responses((status = 200, description = "The worker; asking again changes nothing.", body = WorkerObject)))]
#[post("/admin/v1/workers/{worker}/restart")]
pub(super) async fn restart(
    operator: Operator,
    request: HttpRequest,
    worker: web::Path<String>,
    payload: web::Payload,
    api: web::Data<Api>,
    pool: web::Data<Pool>,
) -> Result<HttpResponse, ApiError> {
    let wish = Restart::of(&request, payload).await?;
    let found = pool.worker(&worker)?;
    let mode = if wish.hard { "hard" } else { "soft" };
    note(&api, &operator, None, AuditKind::WorkerRestarted, &found.name, Some(mode.to_owned())).await?;
    let at_once = Orders { drain: true, restart: true, stop: true };
    if wish.hard {
        // A worker of another machine can only be asked.
        if !pool.supervisor.kill(&found.name) {
            pool.order(&found, at_once, None)?;
        }
    } else if wish.drain {
        pool.order(&found, Orders { stop: false, ..at_once }, Some(wish.patience))?;
    } else {
        pool.order(&found, at_once, None)?;
    }
    pool.answer(&worker)
}

/// Let a worker take no new job
#[utoipa::path(operation_id = "drainWorker", tag = "Workers", params(("worker" = String, Path, example = "cpu")), responses((status = 200, description = "The worker.", body = WorkerObject)))]
#[post("/admin/v1/workers/{worker}/drain")]
pub(super) async fn drain(
    operator: Operator,
    worker: web::Path<String>,
    api: web::Data<Api>,
    pool: web::Data<Pool>,
) -> Result<HttpResponse, ApiError> {
    let found = pool.worker(&worker)?;
    note(&api, &operator, None, AuditKind::WorkerDrained, &found.name, None).await?;
    pool.order(&found, Orders { drain: true, restart: false, stop: false }, None)?;
    pool.answer(&worker)
}

/// Let a worker take jobs again
#[utoipa::path(operation_id = "resumeWorker", tag = "Workers", params(("worker" = String, Path, example = "cpu")), responses((status = 200, description = "The worker.", body = WorkerObject)))]
#[post("/admin/v1/workers/{worker}/resume")]
pub(super) async fn resume(
    operator: Operator,
    worker: web::Path<String>,
    api: web::Data<Api>,
    pool: web::Data<Pool>,
) -> Result<HttpResponse, ApiError> {
    let found = pool.worker(&worker)?;
    note(&api, &operator, None, AuditKind::WorkerResumed, &found.name, None).await?;
    pool.order(&found, Orders::default(), None)?;
    pool.answer(&worker)
}

/// Load a model
///
/// The worker brings the model into its memory before its next job, and lets others go that do not fit beside it. The answer
/// does not wait for that: `ordered` goes from `load` to null, and `resident` or `error` tells how it went.
#[utoipa::path(operation_id = "loadModel", tag = "Workers", params(("worker" = String, Path, example = "cpu")), request_body(content = ModelBody, content_type = "application/json"), responses((status = 200, description = "The worker; asking again changes nothing.", body = WorkerObject)))]
#[post("/admin/v1/workers/{worker}/load")]
pub(super) async fn load(
    operator: Operator,
    request: HttpRequest,
    worker: web::Path<String>,
    payload: web::Payload,
    api: web::Data<Api>,
    pool: web::Data<Pool>,
) -> Result<HttpResponse, ApiError> {
    let wanted = Wanted::of(&request, payload).await?;
    pool.want(&api, &operator, &worker, wanted, true).await
}

/// Unload a model
///
/// The worker lets the model go once its current job has ended: memory that no other model in it needs is free then. The state
/// is `unloading` until that is done. The next job for the model loads it again; a worker that drains gets none.
#[utoipa::path(operation_id = "unloadModel", tag = "Workers", params(("worker" = String, Path, example = "cpu")), request_body(content = ModelBody, content_type = "application/json"), responses((status = 200, description = "The worker; asking again changes nothing.", body = WorkerObject)))]
#[post("/admin/v1/workers/{worker}/unload")]
pub(super) async fn unload(
    operator: Operator,
    request: HttpRequest,
    worker: web::Path<String>,
    payload: web::Payload,
    api: web::Data<Api>,
    pool: web::Data<Pool>,
) -> Result<HttpResponse, ApiError> {
    let wanted = Wanted::of(&request, payload).await?;
    pool.want(&api, &operator, &worker, wanted, false).await
}

/// Read the queue
#[utoipa::path(operation_id = "getQueue", tag = "Workers", responses((status = 200, description = "What waits, by model and project.", body = QueueObject)))]
#[get("/admin/v1/queue")]
pub(super) async fn queue(
    _operator: Operator,
    api: web::Data<Api>,
    pool: web::Data<Pool>,
) -> Result<HttpResponse, ApiError> {
    let queue = QueueObject::new(&pool.scheduler, api.clock.now());
    Ok(std::future::ready(HttpResponse::Ok().json(queue)).await)
}

/// The model that an order is about.
struct Wanted {
    model: String,
    quant_linear: Option<bool>,
}

impl Wanted {
    async fn of(request: &HttpRequest, payload: web::Payload) -> Result<Self, ApiError> {
        let mut fields = read(request, payload, Accepts::Json, Limits::PLAIN).await?;
        let (model, quant_linear) = (fields.text("model")?, fields.boolean("quant_linear")?);
        fields.finish()?;
        let missing =
            || ApiError::new(ErrorCode::MissingRequiredParameter, "`model` is required").about("model");
        Ok(Self { model: model.ok_or_else(missing)?, quant_linear })
    }

    /// The worker's model of that name and variant.
    fn among(&self, worker: &WorkerView) -> Result<ModelId, ApiError> {
        let Self { model, quant_linear } = self;
        let hosted =
            worker.models.iter().map(|model| &model.hosted).find(|hosted| hosted.id.as_str() == model);
        let hosted = hosted.ok_or_else(|| not_hosted(&worker.name, model))?;
        match quant_linear {
            Some(other) if *other != hosted.quant_linear => {
                let message =
                    format!("the worker hosts `{model}` with `quant_linear` {}", hosted.quant_linear);
                Err(ApiError::new(ErrorCode::VariantNotDeployed, message).about("quant_linear"))
            }
            Some(_) | None => Ok(hosted.id.clone()),
        }
    }
}

fn not_hosted(worker: &str, model: &str) -> ApiError {
    ApiError::new(ErrorCode::ModelNotFound, format!("worker `{worker}` does not host `{model}`"))
        .about("model")
}

struct Restart {
    hard: bool,
    drain: bool,
    patience: Duration,
}

impl Restart {
    async fn of(request: &HttpRequest, payload: web::Payload) -> Result<Self, ApiError> {
        let mut fields = read(request, payload, Accepts::Json, Limits::PLAIN).await?;
        let hard = match fields.text("mode")?.as_deref() {
            None | Some("soft") => false,
            Some("hard") => true,
            Some(_) => return Err(ApiError::invalid_value("mode", "`mode` is soft or hard")),
        };
        let drain_first = fields.boolean("drain")?.unwrap_or(true);
        let patience = fields.integer("timeout_seconds")?.unwrap_or(PATIENCE as i64);
        let good = u64::try_from(patience).ok().filter(|seconds| *seconds <= MOST_PATIENCE);
        let message = format!("`timeout_seconds` must be 0 to {MOST_PATIENCE}");
        let seconds = good.ok_or_else(|| ApiError::invalid_value("timeout_seconds", message))?;
        fields.finish()?;
        Ok(Self { hard, drain: drain_first, patience: Duration::from_secs(seconds) })
    }
}

impl Pool {
    fn worker(&self, id: &str) -> Result<WorkerView, ApiError> {
        let workers = self.scheduler.workers().into_iter();
        let mut found = workers.filter(|worker| worker.name == id || worker.id.to_string() == id);
        found.next().ok_or_else(|| missing("worker"))
    }

    fn order(&self, worker: &WorkerView, orders: Orders, patience: Option<Duration>) -> Result<(), ApiError> {
        let known = self.scheduler.order(worker.id, orders, patience);
        if known { Ok(()) } else { Err(missing("worker")) }
    }

    /// Orders a model into the worker's memory or out of it.
    async fn want(
        &self,
        api: &Api,
        operator: &Operator,
        worker: &str,
        wanted: Wanted,
        resident: bool,
    ) -> Result<HttpResponse, ApiError> {
        let found = self.worker(worker)?;
        let model = wanted.among(&found)?;
        let kind = if resident { AuditKind::ModelLoaded } else { AuditKind::ModelUnloaded };
        note(api, operator, None, kind, &found.name, Some(model.to_string())).await?;
        self.scheduler.order_model(found.id, &model, resident).map_err(|refused| match refused {
            OrderRefused::UnknownWorker => missing("worker"),
            OrderRefused::NotHosted => not_hosted(&found.name, model.as_str()),
        })?;
        self.answer(worker)
    }

    fn answer(&self, id: &str) -> Result<HttpResponse, ApiError> {
        Ok(HttpResponse::Ok().json(WorkerObject::new(&self.worker(id)?)))
    }
}
