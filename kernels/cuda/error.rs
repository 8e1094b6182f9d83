//! What can go wrong on a GPU, in words a user can act on.

use cudarc::{cublaslt::result::CublasError, driver::DriverError};

/// An error of the CUDA backend. After [`CudaError::Driver`] the process must be restarted: an illegal access is sticky.
#[derive(Debug, thiserror::Error)]
pub enum CudaError {
    #[error("no CUDA driver on this machine: libcuda.so.1 was not found")]
    NoDriver,
    #[error("cuBLASLt 13 was not found: put libcublasLt.so.13 on the library search path")]
    NoCublasLt,
    #[error(
        "the CUDA driver is too old: it speaks {found}, this program needs {needed} (driver 580 or newer)"
    )]
    OldDriver { found: i32, needed: i32 },
    #[error("there is no GPU {ordinal}: this machine has {count}")]
    NoDevice { ordinal: usize, count: i32 },
    #[error(transparent)]
    OutOfMemory(Box<Shortage>),
    #[error("the host has no {wanted} bytes that a GPU could read")]
    NoHostMemory { wanted: usize },
    #[error("no kernel {function} in image {image}")]
    NoKernel { image: &'static str, function: &'static str },
    #[error("CUDA: {0:?}")]
    Driver(DriverError),
    #[error("cuBLASLt: {0}")]
    Cublas(#[from] CublasError),
    #[error("the CUDA backend cannot do this: {0}")]
    Unsupported(String),
}

/// That a device has no room, and who has it.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(
    "out of GPU memory: {wanted} bytes asked, {free} free; networks hold {networks}, what lasts {lasting}, what is computed \
     in {computing}{}",
    limit.map_or_else(String::new, |limit| format!("; {limit} may be taken for all of them"))
)]
pub struct Shortage {
    pub wanted: usize,
    /// Of the device, or of what may be taken.
    pub free: usize,
    pub networks: Share,
    pub lasting: Share,
    pub computing: Share,
    /// The most that may be taken, if that was set.
    pub limit: Option<u64>,
}

/// Bytes that tensors of one purpose hold, and that were taken from the device for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    pub used: u64,
    pub reserved: u64,
}

impl std::fmt::Display for Share {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} of {} taken", self.used, self.reserved)
    }
}

impl From<DriverError> for CudaError {
    fn from(error: DriverError) -> Self {
        Self::Driver(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_says_who_has_the_memory() {
        let share = |used| Share { used, reserved: used + 1 };
        let (networks, lasting, computing) = (share(50), share(6), share(7));
        let shortage = |limit| Shortage { wanted: 9, free: 4, networks, lasting, computing, limit };
        let text = CudaError::OutOfMemory(Box::new(shortage(Some(70)))).to_string();
        assert_eq!(
            text,
            "out of GPU memory: 9 bytes asked, 4 free; networks hold 50 of 51 taken, what lasts 6 of 7 taken, \
             what is computed in 7 of 8 taken; 70 may be taken for all of them"
        );
        assert!(!shortage(None).to_string().contains("may be taken"));
    }
}
