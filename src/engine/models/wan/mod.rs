//! The diffusion transformer: Wan2.1 from text, Wan2.2 from a picture too.
//! Read in this order: its numbers (`config`), its tensors (`names`), the network (`transformer`), one layer (`block`),
//! how many bytes it computes in (`work`).

mod block;
mod config;
mod names;
mod transformer;
mod work;

pub use config::{LATENT_CHANNELS, MASK_CHANNELS, ModelType, PATCH, WanConfig};
pub use names::{LinearFormat, expected_tensors};
pub use transformer::{Step, TextContext, Wan};
pub use work::{step_work, text_keys};
