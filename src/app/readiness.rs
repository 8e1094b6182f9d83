//! Whether the server can take and do work now. Probes at most every ten seconds, however often it is asked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::api::{Readiness, ReadinessCheck};
use crate::scheduler::{Scheduler, WorkerState};
use crate::storage::Storage;
use crate::store::Store;

/// A probe writes to the disk; orchestrators ask every second.
const PROBE_EVERY: Duration = Duration::from_secs(10);

/// A probe that takes longer has failed.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// The check behind `/readyz`.
pub(super) fn check(
    store: Arc<dyn Store>,
    storage: Arc<dyn Storage>,
    scheduler: Scheduler,
) -> ReadinessCheck {
    let probes = Arc::new(Probes { store, storage, last: Mutex::default() });
    Arc::new(move || {
        let (probes, scheduler) = (probes.clone(), scheduler.clone());
        Box::pin(async move {
            let (database, storage) = probes.results().await;
            let workers = scheduler.workers();
            // One that lets a model go takes jobs in a moment.
            let ready =
                |state| matches!(state, WorkerState::Idle | WorkerState::Busy | WorkerState::Unloading);
            let ready = workers.iter().filter(|worker| ready(worker.state));
            let down = workers.iter().filter(|worker| worker.state == WorkerState::Down).count();
            Readiness {
                database,
                storage,
                workers_ready: ready.count(),
                workers_total: workers.len() - down,
                draining: scheduler.is_draining(),
            }
        })
    })
}

/// Whether the database answers, and what is wrong with the storage.
type Probed = (bool, Result<(), &'static str>);

struct Probes {
    store: Arc<dyn Store>,
    storage: Arc<dyn Storage>,
    last: Mutex<Option<(Instant, Probed)>>,
}

impl Probes {
    async fn results(&self) -> Probed {
        let mut last = self.last.lock().await;
        if let Some((at, probed)) = *last
            && at.elapsed() < PROBE_EVERY
        {
            return probed;
        }
        let database = tokio::time::timeout(PROBE_TIMEOUT, self.store.organizations()).await;
        let storage = tokio::time::timeout(PROBE_TIMEOUT, self.storage.probe()).await;
        let storage = match storage {
            Ok(probed) => probed.map_err(|error| {
                tracing::warn!(%error, "the storage cannot be written to");
                error.kind()
            }),
            Err(_) => Err("slow"),
        };
        let probed = (matches!(database, Ok(Ok(_))), storage);
        *last = Some((Instant::now(), probed));
        probed
    }
}
