//! The operators of the networks, in the order in which a clip meets them. A folder is one operator: `mod.rs` says
//! shapes, formula and checks, `cpu.rs` is the definition in float32, `cuda.rs` the fast version. Operators never
//! include one another; what several share stands in `cpu/` or `cuda/`. Nothing here knows a model, a file or a job.

mod device;
mod error;
mod tensor;

pub use device::Device;
pub use error::{Error, Result};
pub use tensor::{DType, Tensor};
