//! The diffusion transformer: Wan2.1 from text, Wan2.2 from a picture too.
//! Read in this order: its numbers (`config`), its tensors (`names`), the network (`transformer`), one layer (`block`).

mod block;
mod config;
mod names;
mod transformer;

pub use config::{LATENT_CHANNELS, MASK_CHANNELS, ModelType, PATCH, WanConfig};
pub use names::{LinearFormat, expected_tensors};
pub use transformer::{Step, TextContext, Wan};
