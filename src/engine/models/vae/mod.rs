//! The video autoencoder: causal in time, eight pixels and four frames to a latent.
//! Read in this order: its numbers (`config`), which layer follows which (`layout`), its tensors (`names`).

mod config;
mod layout;
mod names;

pub use config::VaeConfig;
pub use names::expected_tensors;
