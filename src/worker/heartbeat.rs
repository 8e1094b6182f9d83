//! The sign of life of a running job. Carries progress to the server, and cancel and other orders back.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::warn;

use super::client::{CallError, LeaseClient};
use super::devices::Devices;
use super::progress::{Halt, Progress};
use crate::domain::id::{VideoId, WorkerId};
use crate::domain::lease::{Heartbeat, Orders, Welcome};

/// Progress is reported as it happens, so that a cancel is seen within a step, but not more often than this.
const LEAST_GAP: Duration = Duration::from_millis(100);

/// Everything a heartbeat needs to know of its job.
pub(super) struct Pulse {
    pub(super) client: LeaseClient,
    pub(super) worker: WorkerId,
    pub(super) video: VideoId,
    pub(super) epoch: u32,
    pub(super) interval: Duration,
    pub(super) fence: Duration,
    pub(super) devices: Arc<Devices>,
    pub(super) progress: Arc<Progress>,
}

impl Pulse {
    /// The times that the server asked for at the hello.
    pub(super) fn times(welcome: &Welcome) -> (Duration, Duration) {
        (Duration::from_millis(welcome.heartbeat_ms), Duration::from_millis(welcome.self_fence_ms))
    }

    /// Beats until dropped, or until the lease is lost. Tells the job to stop through its progress, and
    /// every order through `orders`.
    pub(super) async fn beat(self, orders: tokio::sync::watch::Sender<Orders>) {
        let mut sequence = 0;
        let mut last_good = Instant::now();
        loop {
            sequence += 1;
            let beat = self.message(sequence);
            let began = Instant::now();
            let fence = last_good + self.fence;
            // A server that answers too late has already been given up on.
            let answer = timeout_at(fence, self.client.heartbeat(self.video, &beat)).await;
            match answer {
                Ok(Ok(answer)) => {
                    last_good = began;
                    if answer.cancel {
                        self.progress.halt(Halt::Cancelled);
                    }
                    if answer.orders.stop {
                        self.progress.halt(Halt::HandBack);
                    }
                    orders.send_replace(answer.orders);
                }
                Ok(Err(CallError::Unavailable(why) | CallError::Invalid(why))) => {
                    warn!(job.id = %self.video, "no heartbeat: {why}");
                }
                Ok(Err(CallError::Stale | CallError::UnknownWorker | CallError::Refused(_))) => {
                    return self.progress.halt(Halt::Fenced);
                }
                Err(_) => {}
            }
            if Instant::now() >= last_good + self.fence {
                warn!(job.id = %self.video, "no heartbeat for {:?}, so the job may be another's", self.fence);
                return self.progress.halt(Halt::Fenced);
            }
            sleep_until(began + LEAST_GAP).await;
            // Whatever comes first: news to tell, the next regular beat, or the moment to give up.
            let next = (began + self.interval).min(last_good + self.fence);
            drop(timeout_at(next, self.progress.moved()).await);
        }
    }

    fn message(&self, sequence: u64) -> Heartbeat {
        let position = self.progress.position();
        Heartbeat {
            worker: self.worker,
            epoch: self.epoch,
            sequence,
            stage: position.stage,
            progress: position.percent,
            step: position.step,
            devices: self.devices.stats(),
        }
    }
}
