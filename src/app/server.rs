//! The whole server: builds the parts, joins them, runs until told to stop, and ends in order.

use std::ffi::OsString;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroU32;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{App, HttpServer, web};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use super::data_folder::{DataFolder, DataFolderError};
use super::database::open_in_turn;
use super::files::files;
use super::listeners::{self, ListenError, Running, Servers};
use super::operator::{self, Pool};
use super::outside::{self, Outside};
use super::settings::note_settings;
use super::supervisor::{Launch, OWN_PROGRAM, Supervisor};
use super::{devices, readiness};
use crate::api::{self, Api, ContentDelivery, LinkSigner, RateLimiter};
use crate::config::{Config, Delivery, LogFormat};
use crate::domain::asset::Variant;
use crate::domain::audit::Actor;
use crate::domain::clock::{Clock, Random};
use crate::domain::failure::FailureCode;
use crate::domain::key::KeyText;
use crate::domain::request::ModelCatalog;
use crate::domain::stage::Stage;
use crate::jobs::{AuditLog, Jobs, JobsError, JobsParts, Keys, Retention, Tenants, Tokens, first_start};
use crate::media::PictureDecoder;
use crate::metrics::{KnownLabels, Metrics};
use crate::scheduler::{self, Parts, Policy, Scheduler, SystemClock, SystemRandom, WorkerAccess};
use crate::storage::{Storage, StorageError};
use crate::store::{Store, StoreError};
use crate::webhooks::{Courier, SecretBox};

/// Threads that answer the API: the work is done elsewhere, so more would only wait.
const API_THREADS: usize = 4;

/// Workers give a job back at the next step, and end; one that has not by then is stuck.
const HAND_BACK_GRACE: Duration = Duration::from_secs(5);

/// Requests that are still being answered get this long, in seconds.
const REQUEST_GRACE_SECONDS: u64 = 5;

/// Once jobs have been waited for, a stop takes no longer, whatever is stuck: more than all the graces of the parts and a
/// request to a bucket that does not answer.
const LAST_GRACE: Duration = Duration::from_secs(60);

/// Stages whose seconds workers report.
const MEASURED_STAGES: [Stage; 8] = [
    Stage::Preparing,
    Stage::LoadingModel,
    Stage::EncodingText,
    Stage::EncodingImage,
    Stage::Denoising,
    Stage::Decoding,
    Stage::Muxing,
    Stage::Uploading,
];

/// Why the server cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(transparent)]
    DataFolder(#[from] DataFolderError),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("the database cannot be used: {0}")]
    Store(#[from] StoreError),
    #[error("the database can no longer be written: {0}")]
    Ended(String),
    #[error("the first entries cannot be made: {0}")]
    First(#[from] JobsError),
    #[error("the file store cannot be used: {0}")]
    Storage(#[source] StorageError),
    #[error("TLS cannot be set up: {0}")]
    Tls(#[source] reqwest::Error),
    #[error("a listener failed: {0}")]
    Http(#[source] std::io::Error),
}

/// What a newcomer needs to know once the server listens.
#[derive(Debug)]
pub struct Announcement {
    pub listen: SocketAddr,
    pub admin_listen: SocketAddr,
    /// Made by this first start, to be shown once.
    pub first_key: Option<KeyText>,
}

/// Serves until `stop`. `announce` is called once, when requests are answered.
pub async fn serve(
    config: Config,
    catalog: ModelCatalog,
    announce: impl FnOnce(&Announcement),
    stop: CancellationToken,
) -> Result<(), ServeError> {
    let folder = DataFolder::open(&config.data.dir)?;
    let lock = folder.lock().await?;
    let main = listeners::tcp(config.server.listen)?;
    let Some(store) = open_in_turn(&config, &folder, &main.0, &stop).await? else { return Ok(()) };
    let ended = store.ended();
    let server = Server::build(&config, &folder, catalog, Arc::new(store)).await?;
    server.run(&config, &folder, main, announce, stop, ended).await?;
    // Only now may another server take the folder.
    drop(lock);
    Ok(())
}

/// The parts, joined.
struct Server {
    store: Arc<dyn Store>,
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    metrics: Arc<Metrics>,
    scheduler: Scheduler,
    jobs: Jobs,
    keys: Keys,
    tokens: Tokens,
    tenants: Tenants,
    audit: AuditLog,
    catalog: ModelCatalog,
    sealer: SecretBox,
    outside: Outside,
    links: LinkSigner,
}

impl Server {
    async fn build(
        config: &Config,
        folder: &DataFolder,
        catalog: ModelCatalog,
        store: Arc<dyn Store>,
    ) -> Result<Self, ServeError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let random: Arc<dyn Random> = Arc::new(SystemRandom);
        let secrets = folder.secrets(&config.auth, random.as_ref())?;
        let metrics = Arc::new(metrics(&catalog));
        let storage = files(config, folder, &metrics).await?;
        let policy = Policy {
            max_attempts: config.jobs.max_attempts,
            queue_timeout: config.jobs.queue_timeout,
            execution_timeout: config.jobs.execution_timeout,
            max_queued: config.jobs.max_queued as usize,
            ..Policy::default()
        };
        let scheduler = Scheduler::start(Parts {
            store: store.clone(),
            storage: storage.clone(),
            clock: clock.clone(),
            random: random.clone(),
            metrics: metrics.clone(),
            policy,
        })
        .await?;
        let jobs = Jobs::new(JobsParts {
            store: store.clone(),
            storage: storage.clone(),
            scheduler: scheduler.clone(),
            clock: clock.clone(),
            random: random.clone(),
            metrics: metrics.clone(),
        });
        let sealer = SecretBox::new(secrets.pepper.expose());
        let outside = Outside::new(Courier {
            store: store.clone(),
            outgoing: outside::outgoing(&config.outgoing).map_err(ServeError::Tls)?,
            secrets: sealer.clone(),
            clock: clock.clone(),
            random: random.clone(),
            metrics: metrics.clone(),
        });
        let links = LinkSigner::new(secrets.signing_key.clone());
        let keys = Keys::new(store.clone(), clock.clone(), random.clone(), secrets.pepper);
        let tokens = Tokens::new(
            store.clone(),
            keys.clone(),
            clock.clone(),
            random.clone(),
            &secrets.signing_key,
            &config.auth.issuer,
        );
        let tenants = Tenants::new(store.clone(), clock.clone(), config.limits.limits().project);
        for waiting in scheduler.backlog() {
            // Has series of its own from the first scrape on.
            metrics.project(&waiting.project.to_string());
            let (allowance, _) = tenants.limits(waiting.project).await?;
            jobs.limit_running(waiting.project, allowance.running_jobs.map(NonZeroU32::get));
        }
        let audit = AuditLog::new(store.clone(), clock.clone(), random.clone());
        Ok(Self {
            store,
            storage,
            clock,
            random,
            metrics,
            scheduler,
            jobs,
            keys,
            tokens,
            tenants,
            audit,
            catalog,
            sealer,
            outside,
            links,
        })
    }

    async fn run(
        self,
        config: &Config,
        folder: &DataFolder,
        (main, listen): (TcpListener, SocketAddr),
        announce: impl FnOnce(&Announcement),
        stop: CancellationToken,
        ended: impl Future<Output = String>,
    ) -> Result<(), ServeError> {
        let (clock, random) = (self.clock.as_ref(), self.random.as_ref());
        let first = first_start(&self.store, &self.keys, &self.audit, clock, random, Actor::Server).await?;
        let first_key = first.map(|first| first.key);
        note_settings(config, &self.store, &self.audit).await?;
        let (admin, admin_listen) = listeners::tcp(config.server.admin_listen)?;
        let (workers, socket) = listeners::workers(folder.root())?;

        let launch = Launch {
            socket,
            arguments: worker_arguments(config),
            hidden_variables: config.variables.clone(),
        };
        let mut servers = Servers::default();
        servers.add(self.worker_server(workers)?);
        let processes = devices::processes(&config.workers.devices);
        let supervisor = Arc::new(Supervisor::start(processes, &launch, &self.scheduler, &self.metrics));
        let api = self.api(config, listen);
        servers.add(self.operator_server(admin, api.clone(), supervisor.clone())?);
        servers.add(self.main_server(config, main, api)?);
        let gauges = self.scheduler.clone();
        self.metrics.before_scrape(move || gauges.gauge());
        let loops = Loops::start(&self.scheduler, &self.jobs, &self.outside);
        announce(&Announcement { listen, admin_listen, first_key });

        let ended = tokio::select! {
            () = stop.cancelled() => None,
            why = ended => Some(why),
        };
        match &ended {
            // What runs cannot be stored any more, and another server makes it anew.
            Some(why) => error!("the server ends: {why}"),
            None => self.finish_jobs(config.workers.drain).await,
        }
        self.scheduler.stop_workers();
        let ending = async {
            supervisor.stop(HAND_BACK_GRACE).await;
            servers.stop().await;
            // What cannot be stored any more is not waited for.
            if ended.is_none() {
                loops.end().await;
                self.jobs.settle().await;
                self.scheduler.settle().await;
            }
        };
        match tokio::time::timeout(LAST_GRACE, ending).await {
            Ok(()) => info!("stopped"),
            Err(_) => {
                warn!("stopped, with something stuck; what is not stored yet is made good by the next start")
            }
        }
        ended.map_or(Ok(()), |why| Err(ServeError::Ended(why)))
    }

    /// The API, and the lease protocol for workers of other machines if a token lets them in.
    fn main_server(
        &self,
        config: &Config,
        socket: TcpListener,
        state: web::Data<Api>,
    ) -> Result<Running, ServeError> {
        let remote =
            config.workers.token.as_ref().map(|token| WorkerAccess::Token(token.expose().to_owned()));
        let scheduler = self.scheduler.clone();
        let server = HttpServer::new(move || {
            api::app(state.clone()).configure(|routes| {
                if let Some(access) = &remote {
                    scheduler::configure(routes, scheduler.clone(), access.clone());
                }
            })
        });
        let server = server.on_connect(api::remember_client).workers(API_THREADS);
        let server = server.shutdown_timeout(REQUEST_GRACE_SECONDS).disable_signals();
        Ok(server.listen(socket).map_err(ServeError::Http)?.run())
    }

    /// The lease protocol for the processes of this machine.
    fn worker_server(&self, socket: UnixListener) -> Result<Running, ServeError> {
        let scheduler = self.scheduler.clone();
        let server = HttpServer::new(move || {
            App::new()
                .configure(|routes| scheduler::configure(routes, scheduler.clone(), WorkerAccess::Local))
        });
        let server = server.workers(1).shutdown_timeout(REQUEST_GRACE_SECONDS).disable_signals();
        Ok(server.listen_uds(socket).map_err(ServeError::Http)?.run())
    }

    /// The operator's API.
    fn operator_server(
        &self,
        socket: TcpListener,
        api: web::Data<Api>,
        supervisor: Arc<Supervisor>,
    ) -> Result<Running, ServeError> {
        let pool = web::Data::new(Pool { scheduler: self.scheduler.clone(), supervisor });
        let server = HttpServer::new(move || operator::app(api.clone(), pool.clone()));
        let server = server.on_connect(api::remember_client).workers(1);
        let server = server.shutdown_timeout(REQUEST_GRACE_SECONDS).disable_signals();
        Ok(server.listen(socket).map_err(ServeError::Http)?.run())
    }

    /// What the routes of both listeners work with.
    fn api(&self, config: &Config, address: SocketAddr) -> web::Data<Api> {
        web::Data::new(Api {
            jobs: self.jobs.clone(),
            store: self.store.clone(),
            webhooks: self.outside.webhooks(),
            outgoing: self.outside.outgoing(),
            pictures: PictureDecoder::new(OWN_PROGRAM.into()),
            keys: self.keys.clone(),
            allowed_origins: config
                .cors
                .allowed_origins
                .iter()
                .map(|origin| origin.as_str().to_owned())
                .collect(),
            delivery: match config.content.delivery {
                Delivery::Proxy => ContentDelivery::Proxy,
                Delivery::Redirect => ContentDelivery::Redirect,
            },
            public_url: config.server.public_url.clone(),
            trusted_proxies: config.server.trusted_proxies.clone(),
            links: self.links.clone(),
            tokens: self.tokens.clone(),
            tenants: self.tenants.clone(),
            audit: self.audit.clone(),
            in_flight_keys: Default::default(),
            retries: Default::default(),
            sealer: self.sealer.clone(),
            rates: RateLimiter::new(config.limits.limits(), &self.clock),
            catalog: self.catalog.clone(),
            clock: self.clock.clone(),
            random: self.random.clone(),
            metrics: self.metrics.clone(),
            metrics_token: self.metrics_token(config, address),
            readiness: readiness::check(self.store.clone(), self.storage.clone(), self.scheduler.clone()),
        })
    }

    /// The configured token; on an address that others can reach there is always one, known to nobody if need be.
    fn metrics_token(&self, config: &Config, address: SocketAddr) -> Option<String> {
        let configured = config.metrics.token.as_ref().map(|token| token.expose().to_owned());
        if configured.is_some() || address.ip().is_loopback() {
            return configured;
        }
        warn!("/metrics answers nobody: the listener is not on loopback and metrics.token is not set");
        let mut unknown = [0; 32];
        self.random.fill(&mut unknown);
        Some(unknown.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Hands out no more jobs and waits for the running ones, for a while.
    async fn finish_jobs(&self, patience: Duration) {
        self.scheduler.drain();
        let running = self.scheduler.running();
        if running > 0 {
            info!(running, patience_seconds = patience.as_secs(), "waiting for running jobs");
        }
        if tokio::time::timeout(patience, self.scheduler.idle()).await.is_err() {
            warn!(running = self.scheduler.running(), "jobs are handed back to the queue");
        }
    }
}

/// What goes on beside the requests.
struct Loops {
    tasks: TaskTracker,
    end: CancellationToken,
}

impl Loops {
    fn start(scheduler: &Scheduler, jobs: &Jobs, outside: &Outside) -> Self {
        let (tasks, end) = (TaskTracker::new(), CancellationToken::new());
        let (watching, ended) = (scheduler.clone(), end.clone());
        tasks.spawn(async move { watching.run(ended.cancelled()).await });
        let (sweeping, ended) = (jobs.clone(), end.clone());
        tasks.spawn(async move { sweeping.run_sweeps(Retention::default(), ended.cancelled()).await });
        outside.start(&tasks, end.clone());
        tasks.close();
        Self { tasks, end }
    }

    async fn end(self) {
        self.end.cancel();
        self.tasks.wait().await;
    }
}

/// All metrics at zero, with the labels that are known from the start.
fn metrics(catalog: &ModelCatalog) -> Metrics {
    Metrics::new(&KnownLabels {
        models: &catalog.models().iter().map(|model| model.id.as_str()).collect::<Vec<_>>(),
        failure_codes: &FailureCode::ALL.map(FailureCode::as_str),
        stages: &MEASURED_STAGES.map(Stage::as_str),
        variants: &Variant::ALL.map(Variant::as_str),
    })
}

/// What a worker needs to know of the configuration; it reads no file and none of our variables.
fn worker_arguments(config: &Config) -> Vec<OsString> {
    let mut dirs = OsString::new();
    for dir in &config.models.dirs {
        if !dirs.is_empty() {
            dirs.push(",");
        }
        dirs.push(dir);
    }
    let format = match config.log.format {
        LogFormat::Text => "text",
        LogFormat::Json => "json",
    };
    let mut arguments: Vec<OsString> = vec![
        "--models-dir".into(),
        dirs,
        "--models".into(),
        config.models.serve.join(",").into(),
        "--linear-format".into(),
        super::devices::linear_format(config.models.linear_format, &config.workers.devices).as_str().into(),
        "--log-format".into(),
        format.into(),
        "--log-filter".into(),
        config.log.filter.clone().into(),
    ];
    let bytes =
        [("--memory-limit", config.workers.memory_limit), ("--host-memory", config.workers.host_memory)];
    for (flag, bytes) in bytes.into_iter().filter_map(|(flag, bytes)| Some((flag, bytes?))) {
        arguments.extend([flag.into(), bytes.to_string().into()]);
    }
    arguments
}
