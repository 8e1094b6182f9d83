//! The lease protocol over HTTP: routes, status codes, bytes. Decides nothing; `protocol` does.

use std::fmt;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::AUTHORIZATION;
use actix_web::web::{self, Json, Path, ServiceConfig};
use actix_web::{FromRequest, HttpRequest, HttpResponse, ResponseError};
use futures_util::StreamExt;
use futures_util::future::{Ready, ready};
use subtle::ConstantTimeEq;

use super::{Scheduler, SchedulerError};
use crate::domain::asset::Variant;
use crate::domain::id::{VideoId, WorkerId};
use crate::domain::lease::{
    Complete, DirectUpload, Fail, Heartbeat, HeartbeatAnswer, LeaseAnswer, LeaseRequest, ProtocolError,
    Stored, UploadAsk, UploadWay, Welcome, WorkerHello,
};
use crate::storage::{Body, Key, WriteLink, WriteTerms};
use crate::store::StoreError;

/// Who may speak the protocol on a listener.
#[derive(Clone)]
pub enum WorkerAccess {
    /// A Unix socket that only this server's children can open.
    Local,
    /// Anyone who sends this text as a bearer token.
    Token(String),
}

/// The longest control message; assets are streamed and not limited here.
const LARGEST_MESSAGE: usize = 1 << 20;

/// How long an address takes an upload; a worker that needs longer asks again.
const UPLOAD_LIFE: Duration = Duration::from_secs(600);

/// Adds the routes.
pub fn configure(config: &mut ServiceConfig, scheduler: Scheduler, access: WorkerAccess) {
    let messages = web::JsonConfig::default()
        .limit(LARGEST_MESSAGE)
        .error_handler(|error, _| Refusal(SchedulerError::Invalid(error.to_string())).into());
    let paths = web::PathConfig::default().error_handler(|_, _| Refusal(SchedulerError::StaleLease).into());
    config.service(
        web::scope("/internal/v1")
            .app_data(web::Data::new(scheduler))
            .app_data(web::Data::new(access))
            .app_data(messages)
            .app_data(paths)
            .route("/workers", web::post().to(register))
            .route("/workers/{worker}/lease", web::post().to(lease))
            .route("/leases/{video}/heartbeat", web::post().to(heartbeat))
            .route("/leases/{video}/complete", web::post().to(complete))
            .route("/leases/{video}/fail", web::post().to(fail))
            .route("/leases/{video}/{epoch}/input", web::get().to(input))
            .route("/leases/{video}/{epoch}/assets/{variant}/link", web::post().to(upload_way))
            .route("/leases/{video}/{epoch}/assets/{variant}", web::put().to(upload)),
    );
}

type Server = web::Data<Scheduler>;
type Answer<T> = Result<Json<T>, Refusal>;

async fn register(peer: Peer, server: Server, hello: Json<WorkerHello>) -> Answer<Welcome> {
    Ok(Json(server.register(hello.into_inner(), peer.local).await?))
}

async fn lease(
    _: Peer,
    server: Server,
    worker: Path<String>,
    request: Json<LeaseRequest>,
) -> Answer<LeaseAnswer> {
    let worker: WorkerId = worker.parse().map_err(|_| SchedulerError::UnknownWorker)?;
    Ok(Json(server.lease(worker, request.into_inner()).await?))
}

async fn heartbeat(
    _: Peer,
    server: Server,
    video: Path<String>,
    beat: Json<Heartbeat>,
) -> Answer<HeartbeatAnswer> {
    Ok(Json(server.heartbeat(id(&video)?, beat.into_inner()).await?))
}

async fn complete(
    _: Peer,
    server: Server,
    video: Path<String>,
    complete: Json<Complete>,
) -> Answer<serde_json::Value> {
    server.complete(id(&video)?, complete.into_inner()).await?;
    Ok(Json(serde_json::json!({})))
}

async fn fail(_: Peer, server: Server, video: Path<String>, fail: Json<Fail>) -> Answer<serde_json::Value> {
    server.fail(id(&video)?, fail.into_inner()).await?;
    Ok(Json(serde_json::json!({})))
}

async fn input(_: Peer, server: Server, path: Path<(String, u32)>) -> Result<HttpResponse, Refusal> {
    let (video, epoch) = path.into_inner();
    let (bytes, chunks) = server.input(id(&video)?, epoch).await?;
    let sized = actix_web::body::SizedStream::new(bytes, chunks);
    Ok(HttpResponse::Ok().content_type("application/octet-stream").body(sized))
}

async fn upload_way(
    _: Peer,
    server: Server,
    path: Path<(String, u32, String)>,
    ask: Json<UploadAsk>,
) -> Answer<UploadWay> {
    let (video, epoch, name) = path.into_inner();
    Ok(Json(server.upload_way(id(&video)?, epoch, variant(&name)?, &ask).await?))
}

async fn upload(
    _: Peer,
    server: Server,
    path: Path<(String, u32, String)>,
    request: HttpRequest,
    mut payload: web::Payload,
) -> Answer<Stored> {
    let (video, epoch, name) = path.into_inner();
    let variant = variant(&name)?;
    let length = request.headers().get(actix_web::http::header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    let length = length.ok_or_else(|| SchedulerError::Invalid("content-length is needed".to_owned()))?;
    let (sender, body) = Body::channel(length);
    let copying = async {
        while let Some(chunk) = payload.next().await {
            if !sender.send(chunk.map_err(std::io::Error::other)).await {
                break;
            }
        }
        drop(sender);
    };
    let (stored, ()) = futures_util::join!(server.store_asset(id(&video)?, epoch, variant, body), copying);
    let stored = stored?;
    Ok(Json(Stored { bytes: stored.bytes, sha256: stored.sha256.to_string() }))
}

fn id(text: &str) -> Result<VideoId, SchedulerError> {
    text.parse().map_err(|_| SchedulerError::StaleLease)
}

fn variant(name: &str) -> Result<Variant, SchedulerError> {
    Variant::parse(name).ok_or_else(|| SchedulerError::Invalid("no such variant".to_owned()))
}

impl Scheduler {
    /// How an asset of a job that is being worked on gets into storage.
    async fn upload_way(
        &self,
        video: VideoId,
        epoch: u32,
        variant: Variant,
        ask: &UploadAsk,
    ) -> Result<UploadWay, SchedulerError> {
        let job = self.holds(video, epoch).ok_or(SchedulerError::StaleLease)?;
        let sha256 = ask.sha256.parse().map_err(|_| SchedulerError::Invalid("no digest".to_owned()))?;
        let (organization, project) = (job.organization, job.project);
        let key = Key::Result { organization, project, video, epoch, variant };
        let terms = WriteTerms { lives: UPLOAD_LIFE, bytes: ask.bytes, sha256 };
        let link = self.inner.parts.storage.write_link(&key, terms).await?;
        let direct = link.map(|WriteLink { url, headers }| DirectUpload { url, headers });
        if direct.is_some() {
            let uploaded = &self.inner.parts.metrics.storage_uploaded_bytes_total;
            uploaded.add([variant.as_str()], ask.bytes as f64);
        }
        Ok(UploadWay { direct })
    }

    /// Stores an asset of a job that is being worked on under that epoch.
    async fn store_asset(
        &self,
        video: VideoId,
        epoch: u32,
        variant: Variant,
        body: Body,
    ) -> Result<crate::storage::Stored, SchedulerError> {
        let job = self.holds(video, epoch).ok_or(SchedulerError::StaleLease)?;
        let (organization, project) = (job.organization, job.project);
        let key = Key::Result { organization, project, video, epoch, variant };
        let stored = self.inner.parts.storage.put(&key, body).await?;
        self.inner.parts.metrics.storage_uploaded_bytes_total.add([variant.as_str()], stored.bytes as f64);
        Ok(stored)
    }

    /// Length and bytes of the picture that a job starts from.
    async fn input(
        &self,
        video: VideoId,
        epoch: u32,
    ) -> Result<(u64, crate::storage::Chunks), SchedulerError> {
        let job = self.holds(video, epoch).ok_or(SchedulerError::StaleLease)?;
        let missing = || SchedulerError::Invalid("the job has no stored input".to_owned());
        job.request.input.as_ref().ok_or_else(missing)?;
        let key = Key::Input { organization: job.organization, project: job.project, video };
        let bytes = self.inner.parts.storage.head(&key).await?.ok_or_else(missing)?;
        Ok((bytes, self.inner.parts.storage.get(&key, None).await?))
    }
}

/// Proof that the caller may speak the protocol.
struct Peer {
    /// A child of this server.
    local: bool,
}

impl FromRequest for Peer {
    type Error = Refusal;
    type Future = Ready<Result<Self, Refusal>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let access = request.app_data::<web::Data<WorkerAccess>>().map(|access| access.get_ref().clone());
        ready(match access {
            Some(WorkerAccess::Local) => Ok(Self { local: true }),
            Some(WorkerAccess::Token(token)) if bears(request, &token) => Ok(Self { local: false }),
            Some(WorkerAccess::Token(_)) | None => Err(Refusal(SchedulerError::Unauthorized)),
        })
    }
}

fn bears(request: &HttpRequest, token: &str) -> bool {
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = header.and_then(|value| value.strip_prefix("Bearer "));
    given.is_some_and(|given| bool::from(given.as_bytes().ct_eq(token.as_bytes())))
}

/// A refused call, on the wire.
#[derive(Debug)]
struct Refusal(SchedulerError);

impl From<SchedulerError> for Refusal {
    fn from(error: SchedulerError) -> Self {
        Self(error)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl Refusal {
    fn code(&self) -> (StatusCode, &'static str) {
        match &self.0 {
            SchedulerError::StaleLease => (StatusCode::CONFLICT, "stale_lease"),
            SchedulerError::UnknownWorker => (StatusCode::NOT_FOUND, "unknown_worker"),
            SchedulerError::Protocol { .. } => (StatusCode::UPGRADE_REQUIRED, "protocol_version"),
            SchedulerError::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized"),
            SchedulerError::Invalid(_) => (StatusCode::BAD_REQUEST, "invalid"),
            SchedulerError::Store(
                StoreError::Unavailable(_) | StoreError::Locked | StoreError::Corrupt(_),
            )
            | SchedulerError::Storage(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            SchedulerError::Store(_) => (StatusCode::CONFLICT, "stale_lease"),
        }
    }
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        self.code().0
    }

    fn error_response(&self) -> HttpResponse {
        let (status, code) = self.code();
        HttpResponse::build(status).json(ProtocolError { code: code.to_owned(), message: self.to_string() })
    }
}
