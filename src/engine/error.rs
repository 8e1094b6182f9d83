//! What can go wrong in the engine. Knows nothing of HTTP; whoever answers a request maps these.

use super::memory::TooLarge;
use super::weights::WeightError;

/// Why a model cannot be opened or a clip not be made.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error(transparent)]
    Weights(#[from] WeightError),
    #[error(transparent)]
    Operator(#[from] kernels::Error),
    /// The model's own numbers do not make a network.
    #[error("the model is broken: {0}")]
    Model(String),
    /// The specification asks for what this model cannot do.
    #[error("the model cannot do this: {0}")]
    Request(String),
    /// The device is too small for the clip, whatever leaves it.
    #[error("the clip does not fit the device: {0}")]
    TooLarge(#[from] TooLarge),
    /// The network gave something that is not a number.
    #[error("{0} gave values that are not finite")]
    InvalidOutput(&'static str),
    #[error("cancelled")]
    Cancelled,
}
