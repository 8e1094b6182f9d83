//! From noise to a latent: when the network is asked (`rcm`), and where chance comes from (`noise`).

mod noise;
mod rcm;

pub use noise::Noise;
pub use rcm::{Rcm, Schedule};
