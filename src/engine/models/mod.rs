//! The networks, written over operators: the text encoder, the transformer, the video autoencoder.
//! They name operators and shapes, never devices or files.

mod expected;
mod loader;
mod narrow;
#[cfg(test)]
mod seeded;

pub mod umt5;
pub mod vae;
pub mod wan;

pub use expected::{ExpectedTensor, TensorKind};
