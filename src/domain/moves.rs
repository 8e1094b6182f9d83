//! Everything that can happen to a job. A move either fits the state and the epoch, or it is refused and changes nothing.
//! Both stores apply moves inside their transactions; no other code changes a [`JobStatus`].

use std::time::Duration;

use super::asset::Asset;
use super::clock::UnixMillis;
use super::event::EventKind;
use super::failure::FailureCode;
use super::job::{Holder, Job, JobError, JobState, JobStatus};
use super::stage::{Stage, Timings};
use super::usage::{Usage, charged_seconds};
use super::warning::Warning;

/// No repeated execution waits longer.
pub const LONGEST_RETRY_DELAY: Duration = Duration::from_secs(60);

/// One step in a job's life.
#[derive(Debug, Clone, PartialEq)]
pub enum Move {
    /// A worker takes it. Raises the epoch.
    Claim { holder: Holder },
    /// The worker tells how far it is.
    Progress { epoch: u32, stage: Stage, percent: u8 },
    /// The worker is done and every asset is durable.
    Complete { epoch: u32, outcome: Outcome },
    /// Another try, not before that moment.
    Requeue { epoch: u32, reason: RequeueReason, not_before: UnixMillis },
    /// The end without a video.
    Fail { epoch: u32, error: JobError, spent: Spent },
    /// The client wants it stopped: at once if no worker has it, else as a wish.
    Cancel,
    /// It waited too long for a worker.
    QueueTimeout,
    /// Its files have been removed by age.
    Expire,
}

/// Why a job goes back to the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequeueReason {
    /// The worker vanished without a word: costs an attempt.
    Lost { worker: String },
    /// The worker reported a fault of the machine: costs an attempt.
    Fault,
    /// Nobody is to blame (drain, server restart, a hand-out that never arrived): costs nothing.
    HandedBack,
}

/// What a worker reports on success.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub assets: Vec<Asset>,
    pub spent: Spent,
    pub warnings: Vec<Warning>,
}

/// What an execution took.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Spent {
    pub timings: Timings,
    /// From the start of text encoding to the end of decoding, times devices held.
    pub gpu_seconds: f64,
    pub gpu_count: u32,
    pub prompt_tokens: Option<u32>,
}

/// The move does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadMove {
    /// Somebody else has the job by now.
    #[error("epoch {epoch} is not the current one")]
    Stale { epoch: u32 },
    #[error("the job has ended ({})", state.as_str())]
    Ended { state: JobState },
    #[error("a worker has the job")]
    Held,
    #[error("the job must not start before its time")]
    TooEarly,
    #[error("the job has not ended as completed")]
    NotCompleted,
}

impl Job {
    /// Makes the move at `at`, or refuses it and changes nothing.
    /// Answers the event that the move is worth, if any.
    pub fn apply(&mut self, step: &Move, at: UnixMillis) -> Result<Option<EventKind>, BadMove> {
        let event = match step {
            Move::Claim { holder } => self.claim(holder, at)?,
            Move::Progress { epoch, stage, percent } => {
                self.status.running(*epoch)?;
                self.status.stage = *stage;
                self.status.progress = self.status.progress.max((*percent).clamp(1, 99));
                None
            }
            Move::Complete { epoch, outcome } => self.complete(*epoch, outcome, at)?,
            Move::Requeue { epoch, reason, not_before } => {
                self.status.running(*epoch)?;
                self.requeue(reason, *not_before, at)
            }
            Move::Fail { epoch, error, spent } => {
                self.status.running(*epoch)?;
                Some(self.fail(error.clone(), Some(spent), at))
            }
            Move::Cancel => self.cancel(at)?,
            Move::QueueTimeout => {
                self.status.free()?;
                Some(self.fail(JobError::new(FailureCode::QueueTimeout), None, at))
            }
            Move::Expire => self.status.expire().map(|()| None)?,
        };
        self.status.revision += 1;
        Ok(event)
    }

    fn claim(&mut self, holder: &Holder, at: UnixMillis) -> Result<Option<EventKind>, BadMove> {
        let status = &mut self.status;
        status.free()?;
        if !status.may_start(at) {
            return Err(BadMove::TooEarly);
        }
        let first = status.state == JobState::Queued;
        status.state = JobState::InProgress;
        status.stage = Stage::Preparing;
        status.progress = status.progress.max(1);
        status.epoch += 1;
        status.holder = Some(holder.clone());
        status.started_at.get_or_insert(at);
        Ok(first.then_some(EventKind::InProgress))
    }

    fn complete(
        &mut self,
        epoch: u32,
        outcome: &Outcome,
        at: UnixMillis,
    ) -> Result<Option<EventKind>, BadMove> {
        self.status.running(epoch)?;
        self.end(JobState::Completed, Some(&outcome.spent), None, at);
        let status = &mut self.status;
        status.progress = 100;
        status.assets = outcome.assets.clone();
        status.warnings = outcome.warnings.clone();
        status.expires_at = Some(at.after(Duration::from_secs(self.request.asset_ttl_seconds)));
        Ok(Some(EventKind::Completed))
    }

    fn cancel(&mut self, at: UnixMillis) -> Result<Option<EventKind>, BadMove> {
        if self.status.is_cancelled() {
            return Ok(None);
        }
        self.status.alive()?;
        self.status.cancel_requested = true;
        if self.status.holder.is_some() {
            return Ok(None);
        }
        Ok(Some(self.fail(JobError::new(FailureCode::Cancelled), None, at)))
    }

    /// Back to the queue; a job that somebody wants stopped ends here instead.
    fn requeue(
        &mut self,
        reason: &RequeueReason,
        not_before: UnixMillis,
        at: UnixMillis,
    ) -> Option<EventKind> {
        if self.status.cancel_requested {
            return Some(self.fail(JobError::new(FailureCode::Cancelled), None, at));
        }
        let status = &mut self.status;
        match reason {
            RequeueReason::Lost { worker } => {
                status.lost_on.insert(worker.clone());
                status.attempt += 1;
            }
            RequeueReason::Fault => status.attempt += 1,
            RequeueReason::HandedBack => {}
        }
        status.stage = Stage::Requeued;
        status.holder = None;
        status.not_before = not_before;
        None
    }

    fn fail(&mut self, error: JobError, spent: Option<&Spent>, at: UnixMillis) -> EventKind {
        self.end(JobState::Failed, spent, Some(error.code), at);
        self.status.error = Some(error);
        EventKind::Failed
    }

    /// What every end has in common.
    fn end(&mut self, state: JobState, spent: Option<&Spent>, failure: Option<FailureCode>, at: UnixMillis) {
        let spent = spent.copied().unwrap_or_default();
        let frames = if failure.is_none() { self.request.spec.frames.get() } else { 0 };
        let started = self.status.started_at.unwrap_or(at);
        let status = &mut self.status;
        status.state = state;
        status.holder = None;
        status.finished_at = Some(at);
        status.timings = Some(Timings {
            queue: Some(started.since(self.created_at).as_secs_f64()),
            total: Some(at.since(self.created_at).as_secs_f64()),
            ..spent.timings
        });
        status.usage = Some(Usage {
            gpu_seconds: charged_seconds(spent.gpu_seconds, failure),
            gpu_count: spent.gpu_count,
            frames,
            video_seconds: if failure.is_none() { self.request.spec.frames.duration_seconds() } else { 0.0 },
            prompt_tokens: spent.prompt_tokens,
        });
    }
}

impl JobStatus {
    /// Cancelled, and over.
    pub fn is_cancelled(&self) -> bool {
        self.error.as_ref().is_some_and(|error| error.code == FailureCode::Cancelled)
    }

    /// Whether its time has come: at once for a fresh job, after its delay for a repeated one. A moment further ahead
    /// than any delay means that the wall clock was set back, and holds nothing up.
    pub fn may_start(&self, at: UnixMillis) -> bool {
        self.started_at.is_none() || self.not_before <= at || self.not_before.since(at) > LONGEST_RETRY_DELAY
    }

    fn alive(&self) -> Result<(), BadMove> {
        if self.state.is_terminal() { Err(BadMove::Ended { state: self.state }) } else { Ok(()) }
    }

    /// Alive and nobody has it.
    fn free(&self) -> Result<(), BadMove> {
        self.alive()?;
        if self.holder.is_some() { Err(BadMove::Held) } else { Ok(()) }
    }

    /// Somebody has it under just this epoch.
    fn running(&self, epoch: u32) -> Result<(), BadMove> {
        if self.holder.is_some() && self.epoch == epoch { Ok(()) } else { Err(BadMove::Stale { epoch }) }
    }

    fn expire(&mut self) -> Result<(), BadMove> {
        if self.state != JobState::Completed {
            return Err(BadMove::NotCompleted);
        }
        self.assets.clear();
        self.expired = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::failure::FailureCode;
    use crate::domain::sample;

    /// A move at random; `epoch` is taken back by `behind` from the current one.
    fn step(kind: u8, behind: u32, epoch: u32, percent: u8) -> Move {
        let epoch = epoch.saturating_sub(behind);
        let lost = RequeueReason::Lost { worker: "cpu".to_owned() };
        let reason = if percent.is_multiple_of(2) { lost } else { RequeueReason::HandedBack };
        match kind {
            0 => Move::Claim { holder: sample::holder("cpu") },
            1 => Move::Progress { epoch, stage: Stage::Denoising, percent },
            2 => Move::Complete { epoch, outcome: sample::outcome() },
            3 => Move::Requeue { epoch, reason, not_before: UnixMillis(u64::from(percent)) },
            4 => Move::Fail {
                epoch,
                error: JobError::new(FailureCode::EncodingFailed),
                spent: Spent::default(),
            },
            5 => Move::Cancel,
            6 => Move::QueueTimeout,
            _ => Move::Expire,
        }
    }

    proptest! {
        #[test]
        fn no_sequence_of_moves_breaks_the_contract(
            moves in prop::collection::vec((0u8..8, 0u32..3, 0u8..200), 1..60),
        ) {
            let mut job = sample::job(1, 1000);
            let mut ends = 0;
            for (at, (kind, behind, percent)) in (1000u64..).zip(moves) {
                let before = job.clone();
                let step = step(kind, behind.saturating_sub(1), job.status.epoch, percent);
                let result = job.apply(&step, UnixMillis(at));
                let status = &job.status;
                if result.is_err() {
                    prop_assert_eq!(&before, &job, "a refused move changes nothing");
                    continue;
                }
                ends += u32::from(matches!(result, Ok(Some(EventKind::Completed | EventKind::Failed))));
                prop_assert!(status.progress >= before.status.progress);
                prop_assert!(status.epoch >= before.status.epoch && status.attempt >= before.status.attempt);
                prop_assert_eq!(status.progress == 100, status.state == JobState::Completed);
                prop_assert_eq!(status.progress == 0, status.started_at.is_none());
                prop_assert_eq!(status.error.is_some(), status.state == JobState::Failed);
                prop_assert_eq!(status.usage.is_some(), status.state.is_terminal());
                prop_assert!(status.holder.is_none() || status.state == JobState::InProgress);
                if before.status.state.is_terminal() {
                    prop_assert_eq!(status.state, before.status.state);
                }
                prop_assert_eq!(ends, u32::from(status.state.is_terminal()), "one end, one event");
            }
        }
    }

    #[test]
    fn a_clock_that_was_set_back_holds_no_job_up() {
        let mut job = sample::job(1, 10_000_000);
        let claim = Move::Claim { holder: sample::holder("cpu") };
        job.apply(&claim, UnixMillis(1)).unwrap();
        let not_before = UnixMillis(50_000);
        job.apply(&Move::Requeue { epoch: 1, reason: RequeueReason::Fault, not_before }, UnixMillis(40_000))
            .unwrap();
        assert_eq!(job.apply(&claim, UnixMillis(49_999)), Err(BadMove::TooEarly));
        assert!(job.status.may_start(UnixMillis(50_000)));
        job.status.not_before = UnixMillis(10_000_000);
        assert!(job.status.may_start(UnixMillis(50_000)));
    }

    #[test]
    fn what_comes_first_wins_between_completion_and_cancellation() {
        let mut job = sample::job(1, 1000);
        let at = UnixMillis(2000);
        job.apply(&Move::Claim { holder: sample::holder("cpu") }, at).unwrap();
        assert_eq!(job.apply(&Move::Cancel, at), Ok(None));
        assert!(job.status.cancel_requested);
        let mut completed = job.clone();
        let complete = Move::Complete { epoch: 1, outcome: sample::outcome() };
        assert_eq!(completed.apply(&complete, at), Ok(Some(EventKind::Completed)));
        let lost = RequeueReason::Lost { worker: "cpu".to_owned() };
        let requeue = Move::Requeue { epoch: 1, reason: lost, not_before: at };
        assert_eq!(job.apply(&requeue, at), Ok(Some(EventKind::Failed)));
        assert!(job.status.is_cancelled());
        assert_eq!(job.apply(&complete, at), Err(BadMove::Stale { epoch: 1 }));
    }
}
