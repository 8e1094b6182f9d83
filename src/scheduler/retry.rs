//! What follows a failed execution: another one, or the end. Pure.

use std::time::Duration;

use super::policy::{FIRST_RETRY_DELAY, MEMORY_ATTEMPTS, POISON_WORKERS, Policy};
use crate::domain::failure::{FailureClass, FailureCode};
use crate::domain::job::JobStatus;
use crate::domain::moves::{LONGEST_RETRY_DELAY, RequeueReason};

/// What went wrong with an execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The worker said so.
    Reported { class: FailureClass, code: FailureCode },
    /// The worker, of that name, said nothing any more.
    Lost { worker: String },
}

/// What to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    Again { reason: RequeueReason, delay: Duration },
    End(FailureCode),
}

/// Decides. `chance` is a fresh number in `0.0..1.0` that spreads retries over time.
pub(super) fn next(status: &JobStatus, trouble: Trouble, policy: &Policy, chance: f64) -> Next {
    let delay = delay(status.attempt, chance);
    match trouble {
        Trouble::Lost { worker } => {
            let mut lost_on = status.lost_on.clone();
            lost_on.insert(worker.clone());
            if status.attempt >= policy.max_attempts || lost_on.len() >= POISON_WORKERS {
                return Next::End(FailureCode::WorkerLost);
            }
            Next::Again { reason: RequeueReason::Lost { worker }, delay }
        }
        Trouble::Reported { class, code } => match class {
            FailureClass::HandedBack => {
                Next::Again { reason: RequeueReason::HandedBack, delay: Duration::ZERO }
            }
            FailureClass::Infra if status.attempt < policy.max_attempts => {
                Next::Again { reason: RequeueReason::Fault, delay }
            }
            FailureClass::OutOfMemory if status.attempt < MEMORY_ATTEMPTS.min(policy.max_attempts) => {
                Next::Again { reason: RequeueReason::Fault, delay }
            }
            FailureClass::OutOfMemory => Next::End(FailureCode::GpuOutOfMemory),
            FailureClass::Cancelled => Next::End(FailureCode::Cancelled),
            FailureClass::Infra | FailureClass::Deterministic => Next::End(code),
        },
    }
}

/// 1 s · 4ⁿ, half of it by chance, at most a minute.
fn delay(attempt: u32, chance: f64) -> Duration {
    let whole = FIRST_RETRY_DELAY * 4u32.saturating_pow(attempt.saturating_sub(1).min(8));
    whole.min(LONGEST_RETRY_DELAY).mul_f64(0.5 + chance / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::clock::UnixMillis;

    fn status(attempt: u32, lost_on: &[&str]) -> JobStatus {
        let lost_on = lost_on.iter().map(|name| (*name).to_owned()).collect();
        JobStatus { attempt, lost_on, ..JobStatus::new(UnixMillis(0)) }
    }

    fn reported(class: FailureClass) -> Trouble {
        Trouble::Reported { class, code: FailureCode::EncodingFailed }
    }

    #[test]
    fn the_machine_gets_three_tries_and_the_job_one() {
        let policy = Policy::default();
        let decide = |attempt, class| next(&status(attempt, &[]), reported(class), &policy, 0.0);
        let again = |reason, millis| Next::Again { reason, delay: Duration::from_millis(millis) };
        assert_eq!(decide(1, FailureClass::Infra), again(RequeueReason::Fault, 500));
        assert_eq!(decide(2, FailureClass::Infra), again(RequeueReason::Fault, 2000));
        assert_eq!(decide(3, FailureClass::Infra), Next::End(FailureCode::EncodingFailed));
        assert_eq!(decide(1, FailureClass::Deterministic), Next::End(FailureCode::EncodingFailed));
        assert_eq!(decide(1, FailureClass::OutOfMemory), again(RequeueReason::Fault, 500));
        assert_eq!(decide(2, FailureClass::OutOfMemory), Next::End(FailureCode::GpuOutOfMemory));
        assert_eq!(decide(3, FailureClass::HandedBack), again(RequeueReason::HandedBack, 0));
    }

    #[test]
    fn a_job_that_takes_two_workers_down_is_poison() {
        let policy = Policy::default();
        let lost = |worker: &str| Trouble::Lost { worker: worker.to_owned() };
        let same = next(&status(2, &["gpu-0"]), lost("gpu-0"), &policy, 0.0);
        assert!(matches!(same, Next::Again { .. }));
        let other = next(&status(2, &["gpu-0"]), lost("gpu-1"), &policy, 0.0);
        assert_eq!(other, Next::End(FailureCode::WorkerLost));
        let third = next(&status(3, &["gpu-0"]), lost("gpu-0"), &policy, 0.0);
        assert_eq!(third, Next::End(FailureCode::WorkerLost));
    }
}
