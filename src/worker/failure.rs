//! Why a worker made no video, and what follows from it for the job and for the worker.

use super::progress::Halt;
use crate::domain::failure::{FailureClass, FailureCode};
use crate::domain::lease::Cost;
use crate::domain::stage::Timings;
use crate::engine::EngineError;

/// Why there is no video.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) code: FailureCode,
    pub(super) class: FailureClass,
    /// For the log.
    pub(super) message: String,
    /// What it took until then: a cancelled job is charged.
    pub(super) cost: Cost,
    /// Of the stages that ran, the last perhaps only in part.
    pub(super) timings: Box<Timings>,
    /// The device may not work any more in this process.
    pub(super) device: DeviceHealth,
}

/// What a failure says about the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DeviceHealth {
    Good,
    /// It had no room; a fresh process starts with all of it.
    Full,
    /// An operation on it failed; a GPU then fails all that come after in the same process.
    Broken,
}

impl Failure {
    pub(super) fn new(code: FailureCode, class: FailureClass, message: String) -> Self {
        let (cost, timings) = (Cost::default(), Box::default());
        Self { code, class, message, cost, timings, device: DeviceHealth::Good }
    }

    /// With what the execution took until then.
    pub(super) fn after(self, cost: Cost, timings: Timings) -> Self {
        Self { cost, timings: Box::new(timings), ..self }
    }

    /// What an error of the engine means. `broken` is why the frames could not be taken, if that is what stopped it;
    /// `halted` why the job was asked to stop, if it was.
    pub(super) fn of(error: EngineError, broken: Option<Self>, halted: Option<Halt>) -> Self {
        let message = error.to_string();
        match (broken, error) {
            (Some(failure), _) => failure,
            (None, EngineError::Cancelled) => Self::halted(halted, message),
            (None, EngineError::InvalidOutput(_)) => {
                Self::new(FailureCode::InvalidOutput, FailureClass::Deterministic, message)
            }
            (None, EngineError::Request(_)) => {
                Self::new(FailureCode::InternalError, FailureClass::Deterministic, message)
            }
            (None, EngineError::TooLarge(_)) => {
                Self::new(FailureCode::GpuOutOfMemory, FailureClass::Deterministic, message)
            }
            (None, EngineError::Weights(_) | EngineError::Model(_)) => {
                Self::new(FailureCode::ModelLoadFailed, FailureClass::Infra, message)
            }
            (None, EngineError::Operator(error)) if error.is_out_of_memory() => Self {
                device: DeviceHealth::Full,
                ..Self::new(FailureCode::GpuOutOfMemory, FailureClass::OutOfMemory, message)
            },
            (None, EngineError::Operator(_)) => Self {
                device: DeviceHealth::Broken,
                ..Self::new(FailureCode::InternalError, FailureClass::Infra, message)
            },
        }
    }

    /// The job was asked to stop, and did.
    pub(super) fn halted(why: Option<Halt>, message: String) -> Self {
        match why {
            Some(Halt::HandBack) => Self::new(FailureCode::WorkerLost, FailureClass::HandedBack, message),
            Some(Halt::Cancelled | Halt::Fenced) | None => {
                Self::new(FailureCode::Cancelled, FailureClass::Cancelled, message)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_is_told_by_its_reason() {
        let class = |halted| Failure::of(EngineError::Cancelled, None, halted).class;
        assert_eq!(class(Some(Halt::Cancelled)), FailureClass::Cancelled);
        assert_eq!(class(Some(Halt::HandBack)), FailureClass::HandedBack);
    }

    #[test]
    fn what_broke_the_frames_outweighs_the_stop_that_it_caused() {
        let broken =
            Failure::new(FailureCode::EncodingFailed, FailureClass::Deterministic, "no room".to_owned());
        let failure = Failure::of(EngineError::Cancelled, Some(broken), None);
        assert_eq!(failure.code, FailureCode::EncodingFailed);
    }

    #[test]
    fn a_failed_operation_spoils_the_process_and_a_bad_result_does_not() {
        let operator = EngineError::Operator(kernels::Error::NoDevice("cuda:9".to_owned()));
        assert_eq!(Failure::of(operator, None, None).device, DeviceHealth::Broken);
        let output = EngineError::InvalidOutput("the decoder");
        assert_eq!(Failure::of(output, None, None).device, DeviceHealth::Good);
    }
}
