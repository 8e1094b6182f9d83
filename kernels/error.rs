//! What can go wrong in an operator. Never says anything about models or requests.

/// The result of an operator.
pub type Result<T> = std::result::Result<T, Error>;

/// A misuse of an operator, or a failure of the device under it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{operator}: {argument} must be {expected}, it is {found:?}")]
    Shape { operator: &'static str, argument: &'static str, expected: String, found: Vec<usize> },
    #[error("{operator}: {what}")]
    Argument { operator: &'static str, what: String },
    #[error("{operator} does not run on {device}")]
    Unsupported { operator: &'static str, device: String },
    #[error("no such device: {0}")]
    NoDevice(String),
    #[error("on the cpu: {0}")]
    Cpu(#[from] candle_core::Error),
    #[cfg(feature = "cuda")]
    #[error(transparent)]
    Cuda(#[from] crate::cuda::CudaError),
}

impl Error {
    /// Whether the device had no room for what was asked.
    pub fn is_out_of_memory(&self) -> bool {
        #[cfg(feature = "cuda")]
        if let Self::Cuda(crate::cuda::CudaError::OutOfMemory(_)) = self {
            return true;
        }
        false
    }

    /// Whether the host had no room for a copy that a device can read.
    pub fn is_out_of_host_memory(&self) -> bool {
        #[cfg(feature = "cuda")]
        if let Self::Cuda(crate::cuda::CudaError::NoHostMemory { .. }) = self {
            return true;
        }
        false
    }

    /// A wrong argument of `operator`.
    pub(crate) fn argument(operator: &'static str, what: impl Into<String>) -> Self {
        Self::Argument { operator, what: what.into() }
    }
}
