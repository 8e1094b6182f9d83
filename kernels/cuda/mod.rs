//! The CUDA backend's ground: a device, its memory, its kernels and its matrix library.
//! Knows no operator; each operator's `cuda.rs` stands in the operator's own folder.

mod arrival;
mod buffer;
mod convolution;
mod convolution_hopper;
mod device;
mod error;
mod flash_hopper;
mod images;
mod launch;
mod matmul;
mod operand;
mod pinned;
mod region;
mod tensor_map;
#[cfg(test)]
pub(crate) mod testing;
mod timing;

pub(crate) use arrival::Arrival;
pub use buffer::Buffer;
pub(crate) use convolution::{ConvolutionTile, PackedFilter};
pub(crate) use convolution_hopper::Convolution;
pub use device::{Capability, Device, Memory};
pub use error::{CudaError, Share, Shortage};
pub(crate) use flash_hopper::FlashHopper;
pub(crate) use launch::{Argument, Grid};
pub(crate) use matmul::{Epilogue, Matmul, Operand, Scales};
pub(crate) use operand::{address, cast, empty, float_format, optional, pointer};
pub(crate) use pinned::Pinned;
pub(crate) use region::Region;
pub(crate) use tensor_map::{BoxRow, TensorMap};
pub use timing::Stopwatch;
