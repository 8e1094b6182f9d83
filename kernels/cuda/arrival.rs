//! Copies from the device to the host beside the work that goes on: into pinned memory, on a stream of their own. Knows bytes.

use cudarc::driver::{CudaEvent, result};

use super::{Buffer, CudaError, Device, Pinned};

/// Bytes that are on their way to the host, or there.
pub(crate) struct Arrival {
    device: Device,
    /// Stays until it is copied.
    source: Buffer,
    /// `None` only while this is dropped.
    landing: Option<Pinned>,
    arrived: CudaEvent,
}

impl Arrival {
    /// Copies `source` as soon as the work given so far has filled it, and waits for nothing.
    pub(crate) fn begin(source: &Buffer) -> Result<Self, CudaError> {
        let device = source.device();
        device.bind()?;
        let copies = device.copies();
        let mut landing = device.landing(source.bytes())?;
        copies.wait(&device.stream().record_event(None)?)?;
        if source.bytes() > 0 {
            let to = &mut landing.bytes_mut()[..source.bytes()];
            // SAFETY: both live until `arrived`, for which `drop` waits.
            unsafe { result::memcpy_dtoh_async(to, source.address(), copies.cu_stream())? };
        }
        let arrived = copies.record_event(None)?;
        Ok(Self { device, source: source.clone(), landing: Some(landing), arrived })
    }

    /// The bytes; waits until they are there.
    pub(crate) fn wait(&self) -> Result<&[u8], CudaError> {
        self.device.bind()?;
        self.arrived.synchronize()?;
        Ok(self.landing.as_ref().map_or(&[], |landing| &landing.bytes()[..self.source.bytes()]))
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        // An error of the work before shows up again at the next call, and then nothing is copied any more.
        self.wait().ok();
        if let Some(landing) = self.landing.take() {
            self.device.keep_landing(landing);
        }
    }
}
