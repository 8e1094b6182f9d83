//! The operators of the networks, in the order in which a clip meets them. A folder is one operator: `mod.rs` says
//! shapes, formula and checks, `cpu.rs` is the definition in float32, `cuda.rs` the fast version. Operators never
//! include one another; what several share stands in `cpu/` or `cuda/`. Nothing here knows a model, a file or a job.

mod cpu;
#[cfg(feature = "cuda")]
pub mod cuda;
mod device;
mod error;
mod host;
mod matrix;
mod movable;
#[cfg(any(test, feature = "cuda"))]
mod space;
mod tensor;
mod timing;

// Text encoder.
pub mod embedding;
pub mod gated_gelu;
pub mod position_bias;
pub mod rms_norm;
pub mod text_attention;

// Transformer.
pub mod attention;
pub mod head;
pub mod layer_norm_modulate;
pub mod linear;
pub mod modulation;
pub mod patchify;
pub mod quantize_fp8;
pub mod quantize_int8;
pub mod rms_norm_rope;
pub mod sage_attention;
pub mod sla_linear;
pub mod sla_mask;
pub mod sparse_attention;
pub mod time_embedding;

// VAE.
pub mod causal_conv3d;
pub mod channel_norm;
pub mod conv2d;
pub mod frame_attention;
pub mod frame_bytes;
pub mod interleave_frames;

pub use device::Device;
pub use error::{Error, Result};
pub use host::give_back_freed;
pub use matrix::{Format, Matrix};
pub use movable::Movable;
pub use tensor::{DType, Tensor};
pub use timing::{KernelTime, PoolUse, Stopwatch};
