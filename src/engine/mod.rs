//! Tensors, synchronous: weights and a specification in, frames out. No async, no network, no SQL.
//!
//! Read in this order: from a specification to frames (`pipeline`) and who watches (`listener`), what is in memory
//! when (`course`, `memory`), from noise to a latent (`sampler`), the networks (`models`) and how they attend (`attention`), where
//! their numbers come from (`weights`), what else goes in (`text`, `image`), and how long each part takes (`measure`).

mod attention;
mod course;
mod error;
mod listener;
mod measure;
mod pipeline;

pub mod image;
pub mod memory;
pub mod models;
pub mod sampler;
pub mod text;
pub mod weights;

pub use attention::Attention;
pub use course::Settings;
pub use error::EngineError;
pub use kernels::sla_mask::BlockSize;
pub use listener::{Listener, Stop};
pub use measure::{Measurable, Measurement, Runs};
pub use pipeline::{Generated, Pipeline};
