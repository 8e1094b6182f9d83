//! The nouns of the service and the rules they keep. No IO, no clock, no randomness, no async:
//! whoever needs a time or a random number hands it in.
//!
//! Read in this order: what is asked for (`video`, `size`, `model`, `prompt`), how a request is judged (`request`, `warning`),
//! the job that makes it (`job`, `moves`, `failure`, `stage`), what comes of it (`asset`, `event`, `webhook`, `usage`, `estimate`), who may ask
//! (`tenant`, `key`), how a worker gets and returns it (`lease`), which addresses are public (`address`), and what things are called (`id`).

pub mod address;
pub mod asset;
pub mod audit;
pub mod audit_chain;
pub mod clock;
pub mod device;
pub mod estimate;
pub mod event;
pub mod failure;
pub mod file;
mod html;
pub mod id;
pub mod job;
pub mod jump;
pub mod key;
pub mod lease;
pub mod limits;
pub mod linear;
pub mod memory;
pub mod model;
pub mod moves;
pub mod picture;
pub mod prompt;
pub mod request;
#[cfg(test)]
pub(crate) mod sample;
pub mod size;
pub mod stage;
pub mod tenant;
pub mod token;
pub mod trace;
pub mod usage;
pub mod video;
pub mod warning;
pub mod webhook;
