//! What every handler works with. Built once by the program, shared by all threads.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::idempotency::InFlightKeys;
use super::link::LinkSigner;
use super::ratelimit::RateLimiter;
use super::retries::RetryGuard;
use crate::domain::address::Cidr;
use crate::domain::clock::{Clock, Random};
use crate::domain::request::ModelCatalog;
use crate::jobs::{AuditLog, Jobs, Keys, Tenants, Tokens};
use crate::media::PictureDecoder;
use crate::metrics::Metrics;
use crate::net::Outgoing;
use crate::store::Store;
use crate::webhooks::{SecretBox, Webhooks};

/// The answer to whether the server can work now.
pub type ReadinessCheck = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Readiness> + Send>> + Send + Sync>;

/// Everything that the routes need.
pub struct Api {
    pub jobs: Jobs,
    pub store: Arc<dyn Store>,
    pub keys: Keys,
    pub tokens: Tokens,
    pub tenants: Tenants,
    pub audit: AuditLog,
    pub catalog: ModelCatalog,
    pub webhooks: Webhooks,
    pub pictures: PictureDecoder,
    /// Fetches pictures.
    pub outgoing: Outgoing,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    pub metrics: Arc<Metrics>,
    /// Needed to read `/metrics`; `None` where the listener is reachable from this machine only.
    pub metrics_token: Option<String>,
    pub readiness: ReadinessCheck,
    /// What is left of every project's limits.
    pub rates: RateLimiter,
    /// Origins whose pages may call from a browser.
    pub allowed_origins: Vec<String>,
    /// How files go out unless a request says otherwise.
    pub delivery: ContentDelivery,
    /// Where clients reach this server; `None`: where each of them did.
    pub public_url: Option<String>,
    /// Proxies whose word is taken for who asked.
    pub trusted_proxies: Vec<Cidr>,
    pub links: LinkSigner,
    /// Requests with an idempotency key that are being worked on; starts empty.
    pub in_flight_keys: InFlightKeys,
    /// Encrypts answers that are kept for repetitions.
    pub sealer: SecretBox,
    /// Tries of the SDKs; starts empty.
    pub retries: RetryGuard,
}

/// How the files of a job go out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ContentDelivery {
    /// Through this server.
    #[default]
    Proxy,
    /// By an address that the client is sent to.
    Redirect,
}

/// Whether the parts that jobs need are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    pub database: bool,
    /// What is wrong with the storage, in a word.
    pub storage: Result<(), &'static str>,
    pub workers_ready: usize,
    pub workers_total: usize,
    /// The server is about to stop.
    pub draining: bool,
}

impl Readiness {
    /// Why a job accepted now would not be worked on; empty if it would.
    pub fn obstacles(&self) -> Vec<&'static str> {
        let all = [
            ("database", !self.database),
            ("storage", self.storage.is_err()),
            ("no_ready_worker", self.workers_ready == 0),
            ("draining", self.draining),
        ];
        all.into_iter().filter(|(_, there)| *there).map(|(name, _)| name).collect()
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Api").field("catalog", &self.catalog).finish_non_exhaustive()
    }
}
