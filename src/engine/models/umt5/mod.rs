//! The text encoder: umT5, bidirectional, with an own position bias in every layer.
//! Read in this order: its numbers (`config`), its tensors (`names`), the network (`encoder`), how many bytes it
//! computes in (`work`).

mod config;
mod encoder;
mod names;
mod work;

pub use config::Umt5Config;
pub use encoder::Umt5;
pub use names::expected_tensors;
pub use work::text_work;
