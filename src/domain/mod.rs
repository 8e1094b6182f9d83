//! The nouns of the service and the rules they keep. No IO, no clock, no randomness, no async:
//! whoever needs a time or a random number hands it in.
//!
//! Read in this order: what is asked for (`video`, `size`, `model`, `prompt`), how a request is judged (`request`, `warning`),
//! how far it is (`stage`), and what it is called (`id`).

pub mod asset;
pub mod id;
pub mod model;
pub mod picture;
pub mod prompt;
pub mod request;
pub mod size;
pub mod stage;
pub mod video;
pub mod warning;
