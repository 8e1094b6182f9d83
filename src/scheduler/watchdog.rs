//! What happens by the passing of time: leases that end, jobs that waited too long, retries that fall due.

use std::time::Duration;

use super::handle::{Inner, Scheduler, State};
use super::leases::Overdue;
use super::report;
use super::retry::Trouble;
use crate::domain::clock::{Moment, UnixMillis};
use crate::domain::failure::{FailureClass, FailureCode};
use crate::domain::id::VideoId;
use crate::domain::jump::Jumps;
use crate::domain::moves::{Move, Spent};
use crate::store::StoreError;

/// Between two looks: well under the shortest retry delay.
const TICK: Duration = Duration::from_millis(250);

/// Remembers between two looks what time it was.
#[derive(Debug, Default)]
pub struct Watchdog {
    last: Option<UnixMillis>,
    jumps: Jumps,
}

impl Scheduler {
    /// Looks again and again until `shutdown` is there.
    pub async fn run(&self, shutdown: impl Future<Output = ()>) {
        let mut watchdog = Watchdog::default();
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        tokio::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => return,
                _ = ticks.tick() => self.tick(&mut watchdog).await,
            }
        }
    }

    /// One look.
    pub async fn tick(&self, watchdog: &mut Watchdog) {
        let (at, now) = (self.inner.parts.clock.now(), self.inner.parts.clock.monotonic());
        let last = watchdog.last.replace(at);
        if let Some(jump_ms) = watchdog.jumps.look(at, now) {
            tracing::warn!(jump_ms, "the wall clock has jumped");
        }
        self.inner.end_overdue(now).await;
        if watchdog.jumps.trusts(now) {
            self.inner.end_waiting(at).await;
        }
        {
            let mut state = self.inner.state();
            let State { workers, presence, .. } = &mut *state;
            presence.look(workers, now);
            workers.tidy(now);
            state.queue.tidy();
            let due = last.is_some_and(|then| state.queue.becomes_due(then, at));
            if due {
                self.inner.work.notify_waiters();
            }
        }
        self.inner.changes.tidy();
    }
}

impl Inner {
    async fn end_overdue(&self, now: Moment) {
        let overdue = self.state().leases.overdue(now, self.parts.policy.execution_timeout);
        for (video, epoch, why) in overdue {
            match why {
                Overdue::Silent => {
                    self.parts.metrics.lease_expired_total.increment([]);
                    self.lease_lost(video, epoch).await;
                }
                Overdue::NeverHeard => self.reported(video, epoch, FailureClass::HandedBack).await,
                Overdue::TooLong => self.reported(video, epoch, FailureClass::Deterministic).await,
            }
        }
    }

    /// As if the worker had said it.
    async fn reported(&self, video: VideoId, epoch: u32, class: FailureClass) {
        let held = self.state().leases.get(video, epoch).cloned();
        let Some(held) = held else { return };
        let trouble = Trouble::Reported { class, code: FailureCode::GenerationTimeout };
        if let Err(error) = self.follow_up(&held, trouble, Spent::default()).await {
            tracing::warn!(job.id = %video, %error, "an overdue lease could not be ended yet");
        }
    }

    async fn end_waiting(&self, at: UnixMillis) {
        let timeout = self.parts.policy.queue_timeout.as_millis() as u64;
        let too_long = self.state().queue.waiting_since_before(UnixMillis(at.0.saturating_sub(timeout)));
        for video in too_long {
            match self.change(video, Move::QueueTimeout).await {
                Ok(job) => {
                    self.state().queue.remove(video);
                    report::ended(&self.parts.metrics, &job, None);
                    self.changes.announce(video);
                }
                Err(StoreError::Move(_) | StoreError::NotFound) => {
                    self.state().queue.remove(video);
                }
                Err(error) => tracing::warn!(job.id = %video, %error, "a timeout could not be recorded yet"),
            }
        }
    }
}
