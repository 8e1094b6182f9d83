//! One job, from the lease to the last word about it. Whatever happens, the server is told once, or the job was
//! lost to another worker and nothing is said.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::try_join_all;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;
use tracing::{Instrument, info, warn};

use super::client::{CallError, LONGEST_PAUSE, LeaseClient};
use super::engine_thread::{EngineGone, EngineThread, Made, MadeFile, Work};
use super::failure::{DeviceHealth, Failure};
use super::heartbeat::Pulse;
use super::progress::{Halt, Progress};
use super::run::Ended;
use crate::domain::asset::Asset;
use crate::domain::failure::{FailureClass, FailureCode};
use crate::domain::id::WorkerId;
use crate::domain::lease::{Complete, Fail, Lease, Orders, UploadAsk};
use crate::domain::picture::Picture;
use crate::domain::stage::{Stage, Timings};
use crate::media::{PictureDecoder, SandboxError};

/// The first pause before a transfer is tried again, doubled each time.
const TRANSFER_PAUSE: Duration = Duration::from_millis(200);

/// What an attempt needs besides its lease.
pub(super) struct Attempt<'a> {
    pub(super) client: &'a LeaseClient,
    pub(super) engine: &'a EngineThread,
    pub(super) pictures: &'a PictureDecoder,
    pub(super) worker: WorkerId,
    pub(super) lease: Lease,
}

/// How the worker goes on after a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// With the next job.
    Continue,
    /// With a fresh process, for this reason.
    Replace(Ended),
}

impl After {
    /// A failure that left the device like that.
    fn of(device: DeviceHealth) -> Self {
        match device {
            DeviceHealth::Good => Self::Continue,
            DeviceHealth::Full => Self::Replace(Ended::OutOfMemory),
            DeviceHealth::Broken => Self::Replace(Ended::DeviceFailed),
        }
    }
}

impl Attempt<'_> {
    /// Runs the job to its end. `progress` lets the caller stop it.
    pub(super) async fn run(
        self,
        pulse: Pulse,
        orders: watch::Sender<Orders>,
        progress: Arc<Progress>,
    ) -> Result<After, EngineGone> {
        let video = self.lease.video;
        let pulse = AbortOnDropHandle::new(tokio::spawn(pulse.beat(orders).in_current_span()));
        let outcome = self.make(&progress).await;
        if progress.halted() == Some(Halt::Fenced) {
            info!(job.id = %video, "the job is another's now");
            return outcome.map_or_else(Stop::gone, |_| Ok(After::Continue));
        }
        let (said, after) = match outcome {
            Ok(complete) => {
                // While the lease lasts, what was made is worth waiting for.
                let lasting = || progress.halted().is_none();
                (self.client.complete(video, &complete, lasting).await, Ok(After::Continue))
            }
            Err(Stop::Failed(failure)) => {
                let after = After::of(failure.device);
                (self.client.fail(video, &self.fail(*failure)).await, Ok(after))
            }
            Err(Stop::EngineGone(gone)) => {
                let failure = Failure::new(FailureCode::InternalError, FailureClass::Infra, gone.to_string());
                (self.client.fail(video, &self.fail(failure)).await, Err(gone))
            }
        };
        drop(pulse);
        match said {
            Ok(()) => info!("the server knows how the job ended"),
            Err(CallError::Stale) => info!(job.id = %video, "the job is another's now"),
            Err(error) => warn!(job.id = %video, "the end of the job could not be told: {error}"),
        }
        after
    }

    async fn make(&self, progress: &Arc<Progress>) -> Result<Complete, Stop> {
        let input = match &self.lease.input {
            Some(target) => Some(self.decode(&self.fetch(&target.url, progress).await?).await?),
            None => None,
        };
        let made = self
            .engine
            .make(Work {
                spec: self.lease.spec.clone(),
                input,
                wanted: self.lease.uploads.iter().map(|target| target.variant).collect(),
                progress: progress.clone(),
            })
            .await
            .map_err(Stop::EngineGone)??;
        self.store(made, progress).await
    }

    async fn fetch(&self, path: &str, progress: &Progress) -> Result<Bytes, Failure> {
        persist(
            progress,
            || self.client.input(path),
            |error| {
                Failure::new(
                    FailureCode::InternalError,
                    FailureClass::Infra,
                    format!("fetching the input: {error}"),
                )
            },
        )
        .await
    }

    /// In another process: what a stranger made never meets a decoder in this one.
    async fn decode(&self, bytes: &[u8]) -> Result<Picture, Failure> {
        self.pictures.decode(bytes).await.map_err(|error| match error {
            SandboxError::Picture(error) => {
                Failure::new(FailureCode::InputImageInvalid, FailureClass::Deterministic, error.to_string())
            }
            SandboxError::Process(error) => {
                Failure::new(FailureCode::InternalError, FailureClass::Infra, error.to_string())
            }
        })
    }

    /// Sends every file and sums the job up.
    async fn store(&self, made: Made, progress: &Progress) -> Result<Complete, Stop> {
        let began = Instant::now();
        progress.enter(Stage::Uploading);
        let sent = try_join_all(made.files.into_iter().map(|file| self.send(file, progress))).await;
        let timings = Timings { upload: Some(began.elapsed().as_secs_f64()), ..made.timings };
        let assets = sent.map_err(|failure| failure.after(made.cost, timings))?;
        Ok(Complete {
            worker: self.worker,
            epoch: self.lease.epoch,
            assets,
            timings,
            cost: made.cost,
            warnings: made.warnings,
            loads: self.engine.loads(),
        })
    }

    /// Waits for a storage that takes nothing now: what was made is kept until it does.
    async fn send(&self, file: MadeFile, progress: &Progress) -> Result<Asset, Failure> {
        let failed = |why: String| Failure::new(FailureCode::StorageUploadFailed, FailureClass::Infra, why);
        let target = self.lease.uploads.iter().find(|target| target.variant == file.asset.variant);
        let target = target.ok_or_else(|| failed(format!("nobody asked for {:?}", file.asset.variant)))?;
        let ask = UploadAsk { bytes: file.asset.bytes, sha256: file.asset.sha256.clone() };
        let upload = || self.client.upload(&target.url, &ask, file.bytes.clone());
        let stored = persist(progress, upload, |error| failed(error.to_string())).await?;
        if (stored.bytes, stored.sha256.as_str()) != (file.asset.bytes, file.asset.sha256.as_str()) {
            return Err(failed(format!("{:?} arrived changed", file.asset.variant)));
        }
        Ok(file.asset)
    }

    fn fail(&self, failure: Failure) -> Fail {
        Fail {
            worker: self.worker,
            epoch: self.lease.epoch,
            code: failure.code,
            class: failure.class,
            message: failure.message,
            timings: *failure.timings,
            cost: failure.cost,
            loads: self.engine.loads(),
        }
    }
}

/// Why there is no video.
enum Stop {
    Failed(Box<Failure>),
    EngineGone(EngineGone),
}

impl Stop {
    /// What remains to be known of a job that is another's: whether this worker can go on.
    fn gone(self) -> Result<After, EngineGone> {
        match self {
            Self::Failed(failure) => Ok(After::of(failure.device)),
            Self::EngineGone(gone) => Err(gone),
        }
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(Box::new(failure))
    }
}

/// Repeats a transfer that did not come through, as long as nobody asks the job to stop.
async fn persist<T, F: Future<Output = Result<T, CallError>>>(
    progress: &Progress,
    call: impl Fn() -> F,
    failed: impl Fn(CallError) -> Failure,
) -> Result<T, Failure> {
    let mut pause = TRANSFER_PAUSE;
    loop {
        match call().await {
            Err(CallError::Unavailable(why)) => {
                if let Some(halt) = progress.halted() {
                    return Err(Failure::halted(Some(halt), format!("stopped while waiting: {why}")));
                }
                warn!("a transfer is tried again: {why}");
            }
            answer => return answer.map_err(failed),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
