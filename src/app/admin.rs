//! The operator's API: the workers and the queue, on its own listener, for operator keys only.

use std::sync::Arc;

use actix_web::http::header::AUTHORIZATION;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

use super::organizations;
use super::supervisor::Supervisor;
use crate::domain::audit::{Actor, AuditKind};
use crate::domain::clock::{Clock, Random};
use crate::domain::id::OrganizationId;
use crate::domain::key::{KeyKind, KeyRecord, KeyText};
use crate::domain::lease::Orders;
use crate::jobs::{Audience, AuditLog, Deed, JobsError, Keys, Tenants, TokenRefusal, Tokens};
use crate::scheduler::{Scheduler, WorkerView};
use crate::store::{Store, StoreError, together};

/// What the operator's routes work with.
pub(super) struct Admin {
    pub(super) store: Arc<dyn Store>,
    pub(super) keys: Keys,
    pub(super) tokens: Tokens,
    pub(super) tenants: Tenants,
    pub(super) audit: AuditLog,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) random: Arc<dyn Random>,
    pub(super) scheduler: Scheduler,
    pub(super) supervisor: Arc<Supervisor>,
}

/// The routes.
pub(super) fn configure(config: &mut web::ServiceConfig) {
    config.service(
        web::scope("/admin/v1")
            .route("/workers", web::get().to(list_workers))
            .route("/workers/{worker}", web::get().to(get_worker))
            .route("/workers/{worker}/restart", web::post().to(restart))
            .route("/workers/{worker}/drain", web::post().to(drain))
            .route("/workers/{worker}/resume", web::post().to(resume))
            .route("/queue", web::get().to(queue))
            .configure(organizations::configure),
    );
    config.default_service(web::to(|| async { Err::<HttpResponse, _>(AdminError::NoRoute) }));
}

/// A refusal, in the envelope of the main API.
#[derive(Debug, thiserror::Error)]
pub(super) enum AdminError {
    #[error("an operator key is needed")]
    Unauthorized,
    #[error("the token has expired")]
    Expired,
    #[error("a token makes no token: use a key")]
    TokenForToken,
    #[error("no such organization")]
    NoOrganization,
    #[error("{message}")]
    Value { param: &'static str, message: String },
    #[error("only operator keys may do this")]
    Forbidden,
    #[error("no such worker")]
    NoWorker,
    #[error("no such route")]
    NoRoute,
    #[error("the body is not understood: {0}")]
    Body(#[from] serde_json::Error),
    #[error("the server had an internal error")]
    Jobs(#[from] JobsError),
}

impl From<StoreError> for AdminError {
    fn from(error: StoreError) -> Self {
        Self::Jobs(error.into())
    }
}

impl actix_web::ResponseError for AdminError {
    fn status_code(&self) -> actix_web::http::StatusCode {
        use actix_web::http::StatusCode;
        match self {
            Self::Unauthorized | Self::Expired => StatusCode::UNAUTHORIZED,
            Self::Forbidden | Self::TokenForToken => StatusCode::FORBIDDEN,
            Self::NoWorker | Self::NoRoute | Self::NoOrganization => StatusCode::NOT_FOUND,
            Self::Body(_) | Self::Value { .. } => StatusCode::BAD_REQUEST,
            Self::Jobs(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let (kind, code) = match self {
            Self::Unauthorized => ("invalid_request_error", "invalid_api_key"),
            Self::Expired => ("invalid_request_error", "token_expired"),
            Self::Forbidden | Self::TokenForToken => ("permission_error", "insufficient_scope"),
            Self::NoOrganization => ("invalid_request_error", "resource_not_found"),
            Self::NoWorker => ("invalid_request_error", "worker_not_found"),
            Self::NoRoute => ("invalid_request_error", "unknown_url"),
            Self::Body(_) | Self::Value { .. } => ("invalid_request_error", "invalid_value"),
            Self::Jobs(_) => ("server_error", "internal_error"),
        };
        if let Self::Jobs(error) = self {
            tracing::error!(%error, "an operator's request failed");
        }
        let param = if let Self::Value { param, .. } = self { Some(*param) } else { None };
        let body =
            json!({"error": {"message": self.to_string(), "type": kind, "param": param, "code": code}});
        HttpResponse::build(self.status_code()).json(body)
    }
}

async fn list_workers(request: HttpRequest, admin: web::Data<Admin>) -> Result<HttpResponse, AdminError> {
    admin.check(&request).await?;
    let workers: Vec<Value> = admin.scheduler.workers().iter().map(worker_json).collect();
    Ok(HttpResponse::Ok().json(json!({"object": "list", "data": workers})))
}

async fn get_worker(
    request: HttpRequest,
    admin: web::Data<Admin>,
    worker: web::Path<String>,
) -> Result<HttpResponse, AdminError> {
    admin.check(&request).await?;
    admin.answer(&worker)
}

/// How to restart.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    /// After the current job.
    #[default]
    Soft,
    /// At once; the current job goes to another worker.
    Hard,
}

/// The body of a restart; empty means all defaults.
#[derive(Debug, Default, Deserialize)]
struct Restart {
    #[serde(default)]
    mode: Mode,
}

async fn restart(
    request: HttpRequest,
    admin: web::Data<Admin>,
    worker: web::Path<String>,
    body: web::Bytes,
) -> Result<HttpResponse, AdminError> {
    let operator = admin.check(&request).await?;
    let found = admin.worker(&worker)?;
    let wish = if body.is_empty() { Restart::default() } else { serde_json::from_slice(&body)? };
    let mode = if matches!(wish.mode, Mode::Hard) { "hard" } else { "soft" };
    admin.note(&operator, None, AuditKind::WorkerRestarted, &found.name, Some(mode.to_owned())).await?;
    match wish.mode {
        Mode::Hard if admin.supervisor.kill(&found.name) => {}
        // A worker of another machine can only be asked.
        Mode::Hard => admin.order(&found, Orders { drain: true, restart: true, stop: true })?,
        Mode::Soft => admin.order(&found, Orders { drain: true, restart: true, stop: false })?,
    }
    admin.answer(&worker)
}

async fn drain(
    request: HttpRequest,
    admin: web::Data<Admin>,
    worker: web::Path<String>,
) -> Result<HttpResponse, AdminError> {
    let operator = admin.check(&request).await?;
    let found = admin.worker(&worker)?;
    admin.note(&operator, None, AuditKind::WorkerDrained, &found.name, None).await?;
    admin.order(&found, Orders { drain: true, restart: false, stop: false })?;
    admin.answer(&worker)
}

async fn resume(
    request: HttpRequest,
    admin: web::Data<Admin>,
    worker: web::Path<String>,
) -> Result<HttpResponse, AdminError> {
    let operator = admin.check(&request).await?;
    let found = admin.worker(&worker)?;
    admin.note(&operator, None, AuditKind::WorkerResumed, &found.name, None).await?;
    admin.order(&found, Orders::default())?;
    admin.answer(&worker)
}

async fn queue(request: HttpRequest, admin: web::Data<Admin>) -> Result<HttpResponse, AdminError> {
    admin.check(&request).await?;
    let now = admin.clock.now();
    let lines = admin.scheduler.backlog();
    let lines: Vec<Value> = lines
        .iter()
        .map(|line| {
            json!({
                "model": line.model,
                "project_id": line.project,
                "depth": line.depth,
                "oldest_age_seconds": now.since(line.oldest).as_secs_f64(),
            })
        })
        .collect();
    Ok(HttpResponse::Ok().json(json!({
        "object": "list",
        "data": lines,
        "running": admin.scheduler.running(),
        "draining": admin.scheduler.is_draining(),
    })))
}

/// Somebody with a key of the installation, or a token of one.
pub(super) struct Operator {
    pub(super) key: KeyRecord,
    pub(super) by_token: bool,
}

impl Admin {
    /// Passes with an operator key that is neither revoked nor expired, or a token of one.
    pub(super) async fn check(&self, request: &HttpRequest) -> Result<Operator, AdminError> {
        let header = request.headers().get(AUTHORIZATION).and_then(|header| header.to_str().ok());
        let text = header.and_then(|header| header.strip_prefix("Bearer ")).unwrap_or_default().trim();
        let (key, by_token) = match text.parse::<KeyText>() {
            Ok(text) => (self.keys.check(&text).await?.map_err(|_| AdminError::Unauthorized)?, false),
            Err(_) => match self.tokens.check(text, Audience::Operator).await? {
                Ok((key, _)) => (key, true),
                Err(TokenRefusal::Expired) => return Err(AdminError::Expired),
                Err(TokenRefusal::Invalid) => return Err(AdminError::Unauthorized),
            },
        };
        if key.owner.kind() != KeyKind::Operator {
            return Err(AdminError::Forbidden);
        }
        Ok(Operator { key, by_token })
    }

    /// Writes down what the operator does, in one transaction with it where it is a change of the store.
    pub(super) async fn note(
        &self,
        operator: &Operator,
        organization: Option<OrganizationId>,
        kind: AuditKind,
        subject: impl ToString,
        detail: Option<String>,
    ) -> Result<(), AdminError> {
        let (actor, subject) = (Actor::Operator(operator.key.id), subject.to_string());
        let deed = Deed { organization, project: None, kind, actor, subject, detail };
        Ok(together(&*self.store, self.audit.note(deed)).await?)
    }

    fn worker(&self, id: &str) -> Result<WorkerView, AdminError> {
        let workers = self.scheduler.workers().into_iter();
        let mut found = workers.filter(|worker| worker.name == id || worker.id.to_string() == id);
        found.next().ok_or(AdminError::NoWorker)
    }

    fn order(&self, worker: &WorkerView, orders: Orders) -> Result<(), AdminError> {
        if self.scheduler.order(worker.id, orders) { Ok(()) } else { Err(AdminError::NoWorker) }
    }

    fn answer(&self, id: &str) -> Result<HttpResponse, AdminError> {
        Ok(HttpResponse::Ok().json(worker_json(&self.worker(id)?)))
    }
}

fn worker_json(worker: &WorkerView) -> Value {
    let devices: Vec<Value> = worker
        .devices
        .iter()
        .map(|device| {
            json!({
                "index": device.index,
                "uuid": device.uuid,
                "name": device.name,
                "memory_total_bytes": device.stats.memory_total_bytes,
                "memory_used_bytes": device.stats.memory_used_bytes,
                "utilization_ratio": device.stats.utilization_ratio,
            })
        })
        .collect();
    json!({
        "object": "worker",
        "id": worker.id,
        "name": worker.name,
        "host": worker.host,
        "process_id": worker.process,
        "state": worker.state.as_str(),
        "devices": devices,
        "models": worker.models,
        "current_video_id": worker.current_video,
        "last_heartbeat_at": worker.last_heartbeat_at.seconds(),
    })
}
