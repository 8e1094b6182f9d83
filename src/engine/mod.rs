//! Tensors, synchronous: weights and a specification in, frames out. No async, no network, no SQL.
//!
//! Read in this order: from noise to a latent (`sampler`), the networks (`models`), how they attend (`attention`), where
//! their numbers come from (`weights`), what else goes in (`image`).

mod attention;
mod error;

pub mod image;
pub mod models;
pub mod sampler;
pub mod text;
pub mod weights;

pub use attention::Attention;
pub use error::EngineError;
pub use kernels::sla_mask::BlockSize;
