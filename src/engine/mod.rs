//! Tensors, synchronous: weights and a specification in, frames out. No async, no network, no SQL.
//!
//! Read in this order: where numbers come from (`weights`).

pub mod weights;
