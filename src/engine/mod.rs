//! Tensors, synchronous: weights and a specification in, frames out. No async, no network, no SQL.
//!
//! Read in this order: the networks (`models`), where their numbers come from (`weights`).

pub mod image;
pub mod models;
pub mod text;
pub mod weights;
