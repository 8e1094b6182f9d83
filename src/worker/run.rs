//! The worker's loop: say hello, load the first model, then one job after another until told to stop.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info, info_span, warn};

use super::attempt::{After, Attempt};
use super::client::{CallError, LONGEST_PAUSE, LeaseClient};
use super::devices::Devices;
use super::engine_thread::{EngineGone, EngineThread};
use super::failure::DeviceHealth;
use super::heartbeat::Pulse;
use super::progress::{Halt, Progress};
use crate::domain::device::DeviceName;
use crate::domain::lease::{
    CarriedOut, HostedModel, Lease, LeaseRequest, ModelOrder, Orders, PROTOCOL, Welcome, WorkerHello,
};
use crate::domain::model::ModelId;
use crate::domain::trace::TraceContext;
use crate::engine::Settings;
use crate::engine::weights::Library;
use crate::media::PictureDecoder;
use crate::net::ServerClient;

/// How long the server may hold a request for work: under the idle timeouts of proxies.
const LEASE_WAIT: Duration = Duration::from_secs(20);

/// Between two signs of life of a worker that loads a model.
const ASK_WHILE_LOADING: Duration = Duration::from_secs(5);

/// The pause before the first repetition of a call that did not come through.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// What a worker is made of.
pub struct Setup {
    pub server: ServerClient,
    /// Stable over restarts of the process.
    pub name: String,
    /// Of the machine.
    pub host: String,
    pub device: DeviceName,
    pub library: Library,
    /// How the engine uses the device.
    pub settings: Settings,
    /// Decodes input pictures elsewhere.
    pub pictures: PictureDecoder,
    /// The models that it offers, the one to load at the start first.
    pub models: Vec<OfferedModel>,
    /// How long a job may go on after a stop was asked for.
    pub drain: Duration,
}

/// A model that a worker can run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedModel {
    pub id: ModelId,
    /// Its linear layers are int8.
    pub quant_linear: bool,
}

/// Why a worker ended without an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was told to.
    Stopped,
    /// It was told to make way for a fresh process.
    Replaced,
    /// Its device ran out of memory; a fresh process starts with a clean one.
    OutOfMemory,
    /// Its device failed, and may work again in a fresh process.
    DeviceFailed,
}

impl Ended {
    /// What the process exits with, so that its supervisor knows. 75 is `EX_TEMPFAIL`.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Stopped => 0,
            Self::Replaced => 75,
            Self::OutOfMemory => 76,
            Self::DeviceFailed => 77,
        }
    }

    /// The reading of [`Ended::exit_code`].
    pub fn of_exit_code(code: i32) -> Option<Self> {
        [Self::Stopped, Self::Replaced, Self::OutOfMemory, Self::DeviceFailed]
            .into_iter()
            .find(|ended| i32::from(ended.exit_code()) == code)
    }
}

/// Why a worker cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error("the server does not let this worker in: {0}")]
    Refused(String),
    #[error(transparent)]
    Engine(#[from] EngineGone),
}

/// Works until `stop`, until the server says so, or until the device is lost.
pub async fn run(setup: Setup, stop: CancellationToken) -> Result<Ended, WorkerError> {
    let Setup { server, name, host, device, library, settings, pictures, models, drain } = setup;
    let worker = Worker {
        client: LeaseClient::new(server),
        engine: EngineThread::start(device, library, settings)?,
        pictures,
        devices: Arc::new(Devices::open(device)),
        name,
        host,
        models,
        drain,
        stop,
    };
    worker.work().await
}

/// What a worker does with its models between jobs.
enum Chore {
    /// Load the one that it starts with.
    First(ModelId),
    Order(ModelOrder),
}

/// What came of a chore.
enum Done {
    /// What the server is to know of it.
    Told(Option<CarriedOut>),
    /// Every job would fail in this process; orders end with it.
    DeviceFailed,
}

/// Why a model that was loaded as far as possible is not resident.
const SHORT_OF_MEMORY: &str =
    "the device has not the memory for all of its networks at once; a job brings them in turn";

struct Worker {
    client: LeaseClient,
    engine: EngineThread,
    pictures: PictureDecoder,
    devices: Arc<Devices>,
    name: String,
    host: String,
    models: Vec<OfferedModel>,
    drain: Duration,
    stop: CancellationToken,
}

impl Worker {
    async fn work(self) -> Result<Ended, WorkerError> {
        let mut welcome = match self.hello().await? {
            Some(welcome) => welcome,
            None => return Ok(Ended::Stopped),
        };
        let mut chore = self.models.first().map(|first| Box::pin(self.chore(Chore::First(first.id.clone()))));
        let mut carried_out = Vec::new();
        let mut pause = FIRST_PAUSE;
        loop {
            if let Some(work) = &mut chore {
                tokio::select! {
                    done = tokio::time::timeout(ASK_WHILE_LOADING, work) => {
                        if let Ok(done) = done {
                            match done? {
                                Done::Told(done) => carried_out.extend(done),
                                Done::DeviceFailed => return Ok(Ended::DeviceFailed),
                            }
                            chore = None;
                        }
                    }
                    () = self.stop.cancelled() => return Ok(Ended::Stopped),
                }
            }
            let request = self.request(chore.is_some(), &carried_out);
            let answer = tokio::select! {
                answer = self.client.lease(welcome.worker, &request) => answer,
                () = self.stop.cancelled() => return Ok(Ended::Stopped),
            };
            let answer = match answer {
                Ok(answer) => answer,
                Err(CallError::Refused(why)) => return Err(WorkerError::Refused(why)),
                Err(CallError::UnknownWorker) => match self.hello().await? {
                    Some(again) => {
                        welcome = again;
                        continue;
                    }
                    None => return Ok(Ended::Stopped),
                },
                Err(error @ (CallError::Unavailable(_) | CallError::Invalid(_) | CallError::Stale)) => {
                    warn!("no work to be had: {error}");
                    self.pause(&mut pause).await;
                    continue;
                }
            };
            self.engine.confirm(&request.loads);
            carried_out.clear();
            pause = FIRST_PAUSE;
            if let (None, Some(order)) = (&chore, answer.models.into_iter().next()) {
                chore = Some(Box::pin(self.chore(Chore::Order(order))));
            }
            let mut orders = answer.orders;
            if let Some(lease) = answer.lease {
                let trace_id = lease.trace.as_ref().map(TraceContext::trace_id);
                let span = info_span!("job", job.id = %lease.video, job.attempt = lease.attempt, trace_id);
                let after;
                (after, orders) = self.attempt(*lease, &welcome).instrument(span).await?;
                if let After::Replace(why) = after {
                    return Ok(why);
                }
            }
            if orders.restart {
                return Ok(Ended::Replaced);
            }
            if orders.stop {
                return Ok(Ended::Stopped);
            }
        }
    }

    /// While a model comes or goes, the worker shows that it is there, but wants no job and waits for nothing:
    /// a call that it broke off could be answered with a job that nobody takes.
    fn request(&self, occupied: bool, carried_out: &[CarriedOut]) -> LeaseRequest {
        let wait = if occupied { Duration::ZERO } else { LEASE_WAIT };
        LeaseRequest {
            wait_ms: wait.as_millis() as u64,
            models: self.hosted(),
            devices: self.devices.stats(),
            moves: self.engine.take_moves(),
            loads: self.engine.loads(),
            occupied,
            carried_out: carried_out.to_vec(),
        }
    }

    /// Brings a model or lets it go.
    async fn chore(&self, chore: Chore) -> Result<Done, EngineGone> {
        let (model, resident, number) = match chore {
            Chore::First(model) => (model, true, None),
            Chore::Order(order) => (order.model, order.resident, Some(order.number)),
        };
        let told = |error| Ok(Done::Told(number.map(|number| CarriedOut { number, error })));
        if !self.models.iter().any(|offered| offered.id == model) {
            return told(Some(format!("this worker does not host {model}")));
        }
        let outcome = match resident {
            true => self.engine.load(model.clone()).await?,
            false => self.engine.unload(model.clone()).await?,
        };
        match outcome {
            Err(failure) if failure.device == DeviceHealth::Broken => Ok(Done::DeviceFailed),
            Err(failure) => told(Some(failure.message)),
            Ok(()) if resident && !self.engine.resident().contains(&model) => {
                told(Some(SHORT_OF_MEMORY.to_owned()))
            }
            Ok(()) => told(None),
        }
    }

    /// Repeats until the server answers. `None` if the worker is stopped before.
    async fn hello(&self) -> Result<Option<Welcome>, WorkerError> {
        let hello = WorkerHello {
            protocol: PROTOCOL,
            name: self.name.clone(),
            host: self.host.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            process: std::process::id(),
            devices: self.devices.describe(),
            models: self.hosted(),
        };
        let mut pause = FIRST_PAUSE;
        while !self.stop.is_cancelled() {
            match self.client.hello(&hello).await {
                Ok(welcome) => {
                    info!(worker.id = %welcome.worker, "joined the server");
                    return Ok(Some(welcome));
                }
                Err(CallError::Refused(why) | CallError::Invalid(why)) => {
                    return Err(WorkerError::Refused(why));
                }
                Err(error @ (CallError::Unavailable(_) | CallError::UnknownWorker | CallError::Stale)) => {
                    warn!("cannot join the server yet: {error}");
                    self.pause(&mut pause).await;
                }
            }
        }
        Ok(None)
    }

    async fn attempt(&self, lease: Lease, welcome: &Welcome) -> Result<(After, Orders), EngineGone> {
        let progress = Arc::new(Progress::new());
        let (interval, fence) = Pulse::times(welcome);
        let client = self.client.of_trace(lease.trace.clone());
        let pulse = Pulse {
            client: client.clone(),
            worker: welcome.worker,
            video: lease.video,
            epoch: lease.epoch,
            interval,
            fence,
            devices: self.devices.clone(),
            progress: progress.clone(),
        };
        let (sender, orders) = watch::channel(Orders::default());
        let attempt = Attempt {
            client: &client,
            engine: &self.engine,
            pictures: &self.pictures,
            worker: welcome.worker,
            lease,
        };
        let mut job = std::pin::pin!(attempt.run(pulse, sender, progress.clone()));
        let grace = async {
            self.stop.cancelled().await;
            tokio::time::sleep(self.drain).await;
        };
        let after = tokio::select! {
            after = &mut job => after?,
            () = grace => {
                progress.halt(Halt::HandBack);
                job.await?
            }
        };
        let last_orders = *orders.borrow();
        Ok((after, last_orders))
    }

    fn hosted(&self) -> Vec<HostedModel> {
        let resident = self.engine.resident();
        let hosted = |model: &OfferedModel| HostedModel {
            id: model.id.clone(),
            quant_linear: model.quant_linear,
            resident: resident.contains(&model.id),
        };
        self.models.iter().map(hosted).collect()
    }

    /// Sleeps, a little longer each time, or until the worker is stopped.
    async fn pause(&self, pause: &mut Duration) {
        tokio::select! {
            () = tokio::time::sleep(*pause) => {}
            () = self.stop.cancelled() => {}
        }
        *pause = (*pause * 2).min(LONGEST_PAUSE);
    }
}
