//! The text encoder: umT5, bidirectional, with an own position bias in every layer.
//! Read in this order: its numbers (`config`), its tensors (`names`).

mod config;
mod names;

pub use config::Umt5Config;
pub use names::expected_tensors;
