//! How far the running job is, shared between the thread that computes and the task that reports,
//! and in the other direction why it should stop.

use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use crate::domain::stage::Stage;

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) stage: Stage,
    /// Percent of the whole job.
    pub(super) percent: u8,
    /// Denoising steps done.
    pub(super) step: u32,
}

/// Why a job should stop before it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Halt {
    /// The client cancelled it.
    Cancelled,
    /// The server wants the job back.
    HandBack,
    /// Another worker has it, or may have it by now: nothing more is said about it.
    Fenced,
}

/// One job's progress.
pub(super) struct Progress {
    state: Mutex<(Position, Option<Halt>)>,
    moved: Notify,
}

impl Progress {
    pub(super) fn new() -> Self {
        let position =
            Position { stage: Stage::Preparing, percent: percent(Stage::Preparing, 0, 0), step: 0 };
        Self { state: Mutex::new((position, None)), moved: Notify::new() }
    }

    /// A new stage begins.
    pub(super) fn enter(&self, stage: Stage) {
        self.part(stage, 0, 0);
    }

    /// `done` of `of` parts of `stage` are done.
    pub(super) fn part(&self, stage: Stage, done: u32, of: u32) {
        self.with(|(position, _)| {
            position.stage = stage;
            position.percent = position.percent.max(percent(stage, done, of));
            if stage == Stage::Denoising {
                position.step = done;
            }
        });
        self.moved.notify_one();
    }

    /// Resolves once something has changed since the last call.
    pub(super) async fn moved(&self) {
        self.moved.notified().await;
    }

    pub(super) fn position(&self) -> Position {
        self.with(|(position, _)| *position)
    }

    /// Asks the job to stop. The first reason stays, except that a lost lease outweighs all others.
    pub(super) fn halt(&self, why: Halt) {
        self.with(|(_, halt)| match (*halt, why) {
            (None, _) | (_, Halt::Fenced) => *halt = Some(why),
            (Some(_), Halt::Cancelled | Halt::HandBack) => {}
        });
    }

    pub(super) fn halted(&self) -> Option<Halt> {
        self.with(|(_, halt)| *halt)
    }

    fn with<T>(&self, use_state: impl FnOnce(&mut (Position, Option<Halt>)) -> T) -> T {
        use_state(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn percent(stage: Stage, done: u32, of: u32) -> u8 {
    stage.percent(done, of).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_never_falls_and_counts_steps() {
        let progress = Progress::new();
        progress.part(Stage::Denoising, 2, 4);
        assert_eq!(progress.position(), Position { stage: Stage::Denoising, percent: 45, step: 2 });
        progress.enter(Stage::LoadingModel);
        assert_eq!(progress.position(), Position { stage: Stage::LoadingModel, percent: 45, step: 2 });
    }

    #[test]
    fn a_lost_lease_outweighs_other_reasons_to_stop() {
        let progress = Progress::new();
        progress.halt(Halt::Cancelled);
        progress.halt(Halt::HandBack);
        assert_eq!(progress.halted(), Some(Halt::Cancelled));
        progress.halt(Halt::Fenced);
        progress.halt(Halt::Cancelled);
        assert_eq!(progress.halted(), Some(Halt::Fenced));
    }
}
