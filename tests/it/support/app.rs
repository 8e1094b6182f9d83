//! The real routes and the real scheduler over the memory store, listening on free ports of this machine.

use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpServer, web};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use wanserve::api::{Api, ContentDelivery, InFlightKeys, LinkSigner, RateLimiter, Readiness, RetryGuard};
use wanserve::domain::address::Cidr;
use wanserve::domain::clock::{Clock, Random};
use wanserve::domain::id::{OrganizationId, ProjectId, ServiceAccountId};
use wanserve::domain::key::{KeyOwner, ProjectScope, Scope};
use wanserve::domain::limits::{Allowance, Limits};
use wanserve::domain::model::{Capabilities, ModelId};
use wanserve::domain::request::{DeployedModel, ModelCatalog};
use wanserve::domain::size::{AspectRatio, Resolution};
use wanserve::domain::video::{AttentionType, Operation};
use wanserve::jobs::{AuditLog, Jobs, JobsParts, KeyTerms, Keys, Pepper, Tenants, Tokens};
use wanserve::media::PictureDecoder;
use wanserve::metrics::{KnownLabels, Metrics};
use wanserve::net::{Outgoing, Policy, PolicySettings, SystemNames};
use wanserve::scheduler::{
    self, Parts, Policy as Scheduling, Scheduler, SystemClock, SystemRandom, WorkerAccess,
};
use wanserve::storage::{Memory as MemoryStorage, Storage};
use wanserve::store::{Memory as MemoryStore, Store};
use wanserve::webhooks::{Courier, Dispatcher, SecretBox, Webhooks};

use super::client::Client;
use super::clock::JumpingClock;
use super::worker::{Script, Worker};

/// What workers must send.
const WORKER_TOKEN: &str = "worker-token-of-the-tests";

/// What tests have that are not about limits.
const UNLIMITED: Limits = Limits {
    project: Allowance {
        creates_per_minute: None,
        creates_per_day: None,
        reads_per_minute: None,
        content_per_minute: None,
        active_jobs: None,
        running_jobs: None,
        gpu_seconds_per_day: None,
        gpu_seconds_per_month: None,
    },
    admin_per_minute: None,
    wrong_keys_per_minute: None,
};

/// Choices of a test.
#[derive(Default)]
pub(crate) struct Setup {
    pub(crate) metrics_token: Option<String>,
    /// Ports of 127.0.0.1 that pictures come from and webhooks go to, over plain `http`.
    pub(crate) reachable_ports: Vec<u16>,
    pub(crate) limits: Option<Limits>,
    pub(crate) scheduling: Scheduling,
    /// Proxies that are believed.
    pub(crate) trusted_proxies: Vec<Cidr>,
    /// In memory if absent.
    pub(crate) storage: Option<Arc<dyn Storage>>,
    /// Models besides `wan-tiny`, for which there are no workers.
    pub(crate) models: Vec<DeployedModel>,
}

/// A running server.
pub(crate) struct TestApp {
    pub(crate) base: String,
    worker_base: String,
    pub(crate) keys: Keys,
    pub(crate) scope: ProjectScope,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) store: Arc<MemoryStore>,
    wall: Arc<JumpingClock>,
    scheduler: Scheduler,
    key: String,
    handles: Vec<ServerHandle>,
    stop: CancellationToken,
}

impl TestApp {
    pub(crate) async fn start() -> Self {
        Self::with(Setup::default()).await
    }

    pub(crate) async fn with(setup: Setup) -> Self {
        let memory = Arc::new(MemoryStore::default());
        let store: Arc<dyn Store> = memory.clone();
        let storage = setup.storage.unwrap_or_else(|| Arc::new(MemoryStorage::default()));
        let wall = Arc::new(JumpingClock::default());
        let clock: Arc<dyn Clock> = wall.clone();
        let random: Arc<dyn Random> = Arc::new(SystemRandom);
        let known = KnownLabels { models: &["wan-tiny"], failure_codes: &[], stages: &[], variants: &[] };
        let metrics = Arc::new(Metrics::new(&known));
        let parts = Parts {
            store: store.clone(),
            storage: storage.clone(),
            clock: clock.clone(),
            random: random.clone(),
            metrics: metrics.clone(),
            policy: setup.scheduling.clone(),
        };
        let scheduler = Scheduler::start(parts).await.unwrap();
        let jobs = Jobs::new(JobsParts {
            store: store.clone(),
            storage,
            scheduler: scheduler.clone(),
            clock: clock.clone(),
            random: random.clone(),
            metrics: metrics.clone(),
        });
        let keys =
            Keys::new(store.clone(), clock.clone(), random.clone(), Pepper::new(1, b"pepper".to_vec()));
        let scope = new_scope(&*clock, &*random);
        let ready = scheduler.clone();
        let courier = Courier {
            store: store.clone(),
            outgoing: outgoing(&setup.reachable_ports),
            secrets: SecretBox::new(b"pepper"),
            clock: clock.clone(),
            random: random.clone(),
            metrics: metrics.clone(),
        };
        let (wake, stop) = (Arc::new(Notify::new()), CancellationToken::new());
        tokio::spawn(Dispatcher::new(courier.clone(), wake.clone()).run(stop.clone()));
        let limits = setup.limits.unwrap_or(UNLIMITED);
        let api = Api {
            jobs,
            tokens: Tokens::new(
                store.clone(),
                keys.clone(),
                clock.clone(),
                random.clone(),
                b"signing secret",
                "wanserve",
            ),
            tenants: Tenants::new(store.clone(), clock.clone(), limits.project),
            audit: AuditLog::new(store.clone(), clock.clone(), random.clone()),
            store,
            outgoing: courier.outgoing.clone(),
            pictures: PictureDecoder::new(env!("CARGO_BIN_EXE_wanserve").into()),
            webhooks: Webhooks::new(courier, wake),
            keys: keys.clone(),
            catalog: catalog(setup.models),
            clock: clock.clone(),
            random: random.clone(),
            metrics: metrics.clone(),
            metrics_token: setup.metrics_token,
            readiness: Arc::new(move || {
                let (workers_ready, workers_total) = ready.ready_workers();
                let readiness = Readiness {
                    database: true,
                    storage: Ok(()),
                    workers_ready,
                    workers_total,
                    draining: false,
                };
                Box::pin(std::future::ready(readiness))
            }),
            allowed_origins: vec!["https://app.example.com".to_owned()],
            in_flight_keys: InFlightKeys::default(),
            delivery: ContentDelivery::Proxy,
            public_url: None,
            trusted_proxies: setup.trusted_proxies,
            links: LinkSigner::new(b"links".to_vec()),
            retries: RetryGuard::default(),
            sealer: SecretBox::new(b"pepper"),
            rates: RateLimiter::new(limits, &clock),
        };
        let state = web::Data::new(api);
        let public = HttpServer::new(move || wanserve::api::app(state.clone()));
        let public = public
            .on_connect(wanserve::api::remember_client)
            .workers(1)
            .disable_signals()
            .bind("127.0.0.1:0")
            .unwrap();
        let workers = scheduler.clone();
        let internal = HttpServer::new(move || {
            let access = WorkerAccess::Token(WORKER_TOKEN.to_owned());
            App::new().configure(|config| scheduler::configure(config, workers.clone(), access))
        });
        let internal = internal.workers(1).disable_signals().bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", public.addrs()[0]);
        let worker_base = format!("http://{}", internal.addrs()[0]);
        let (public, internal) = (public.run(), internal.run());
        let handles = vec![public.handle(), internal.handle()];
        tokio::spawn(public);
        tokio::spawn(internal);
        let mut app = Self {
            base,
            worker_base,
            keys,
            scope,
            metrics,
            store: memory,
            wall,
            scheduler,
            key: String::new(),
            handles,
            stop,
        };
        app.key = app.new_key(scope, vec![Scope::All]).await;
        app
    }

    /// A client with a key for everything in the first project.
    pub(crate) fn client(&self) -> Client {
        self.client_with(&self.key)
    }

    pub(crate) fn client_with(&self, key: &str) -> Client {
        Client::new(&self.base, Some(key))
    }

    pub(crate) fn anonymous(&self) -> Client {
        Client::new(&self.base, None)
    }

    /// A client of the first project whose key has these scopes only.
    pub(crate) async fn limited_to(&self, scopes: Vec<Scope>) -> Client {
        self.client_with(&self.new_key(self.scope, scopes).await)
    }

    /// A client of a project that has nothing to do with the first.
    pub(crate) async fn stranger(&self) -> Client {
        let scope = new_scope(&SystemClock::default(), &SystemRandom);
        self.client_with(&self.new_key(scope, vec![Scope::All]).await)
    }

    pub(crate) async fn new_key(&self, scope: ProjectScope, scopes: Vec<Scope>) -> String {
        let account = ServiceAccountId::new(1, SystemRandom.id_bytes());
        let owner = KeyOwner::Project { scope, account };
        self.key_of(owner, scopes).await
    }

    pub(crate) async fn key_of(&self, owner: KeyOwner, scopes: Vec<Scope>) -> String {
        let terms = KeyTerms { name: "test".to_owned(), owner, scopes, expires_at: None };
        self.keys.create(terms).await.unwrap().1.reveal().to_owned()
    }

    /// Starts a worker that follows the script with every job.
    pub(crate) async fn worker(&self, script: Script) -> Worker {
        Worker::start(&self.worker_base, WORKER_TOKEN, script).await
    }

    /// Puts the server's wall clock forward.
    pub(crate) fn put_forward(&self, time: Duration) {
        self.wall.put_forward(time);
    }

    /// Lets the server stop taking jobs.
    pub(crate) fn drain(&self) {
        self.scheduler.drain();
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.stop.cancel();
        for handle in self.handles.drain(..) {
            drop(tokio::spawn(handle.stop(false)));
        }
    }
}

/// The client under the policy that operators start with, but for the ports.
fn outgoing(ports: &[u16]) -> Outgoing {
    let mut settings = PolicySettings::default();
    if !ports.is_empty() {
        settings.allow_cidrs.push("127.0.0.1".parse().unwrap());
        settings.webhook_http = true;
        settings.extra_ports.extend(ports);
    }
    Outgoing::new(Policy::new(settings), Arc::new(SystemNames)).unwrap()
}

/// What a model that does everything small can do.
pub(crate) fn capabilities() -> Capabilities {
    Capabilities {
        operations: vec![Operation::TextToVideo, Operation::ImageToVideo],
        best_resolution: Resolution::P128,
        resolutions: vec![Resolution::P128],
        aspect_ratios: AspectRatio::ALL.to_vec(),
        default_num_steps: 4,
        default_num_frames: 33,
        min_frames: 17,
        max_frames: 33,
        seconds: vec!["1".to_owned(), "2".to_owned()],
        default_seconds: "2".to_owned(),
        attention_types: vec![AttentionType::Sla, AttentionType::SageSla],
        default_attention_type: AttentionType::SageSla,
        default_sla_topk: 0.1,
        default_sigma_max: 80.0,
        default_image_sigma_max: 200.0,
        prompt_languages: vec!["en".to_owned(), "zh".to_owned()],
        max_prompt_tokens: 128,
        experts: 1,
        ode: true,
    }
}

/// A deployed model of that name.
pub(crate) fn deployed(id: &str, capabilities: Capabilities) -> DeployedModel {
    DeployedModel {
        id: ModelId::new(id),
        capabilities,
        quant_linear: vec![false],
        created: 1_767_225_600,
        owned_by: "wanserve".to_owned(),
    }
}

/// One model that does everything small, and others.
fn catalog(others: Vec<DeployedModel>) -> ModelCatalog {
    let tiny = deployed("wan-tiny", capabilities());
    ModelCatalog::new([vec![tiny], others].concat(), true)
}

fn new_scope(clock: &dyn Clock, random: &dyn Random) -> ProjectScope {
    let now = clock.now().0;
    ProjectScope {
        organization: OrganizationId::new(now, random.id_bytes()),
        project: ProjectId::new(now, random.id_bytes()),
    }
}

/// Nothing in these tests takes longer on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
