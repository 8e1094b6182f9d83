//! Device time between two points of the stream.

use cudarc::driver::{CudaEvent, sys};

use super::{CudaError, Device};

/// Started when made; read with [`Stopwatch::milliseconds`].
pub struct Stopwatch {
    device: Device,
    start: CudaEvent,
}

impl Stopwatch {
    /// Marks the start after all work given so far.
    pub fn start(device: &Device) -> Result<Self, CudaError> {
        let start = device.stream().record_event(Some(FLAGS))?;
        Ok(Self { device: device.clone(), start })
    }

    /// Device milliseconds from the start to the end of all work given since; waits for it.
    pub fn milliseconds(&self) -> Result<f32, CudaError> {
        let end = self.device.stream().record_event(Some(FLAGS))?;
        Ok(self.start.elapsed_ms(&end)?)
    }
}

/// The default flags keep times.
const FLAGS: sys::CUevent_flags = sys::CUevent_flags::CU_EVENT_DEFAULT;
