//! The video autoencoder: causal in time, eight pixels and four frames to a latent. Frames are channels-last.
//! Read in this order: its numbers (`config`), which layer follows which (`layout`), its tensors (`names`), latents to
//! frames as they become ready (`decoder`), frames to latents (`encoder`), what both are made of (`layers`), what a decoder
//! remembers between chunks (`stream`), and how many bytes that is (`work`).

mod config;
mod decoder;
mod encoder;
mod layers;
mod layout;
mod names;
mod stream;
mod work;

pub use config::VaeConfig;
pub use decoder::Decoder;
pub use encoder::{Clip, Encoder};
pub use names::expected_tensors;
pub use work::{decoder_work, encoder_work};
