//! Device time between two points of the stream, and of each kernel in between.

use std::collections::HashMap;

use cudarc::driver::{CudaEvent, sys};

use super::{CudaError, Device};
use crate::KernelTime;

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

/// What ran between which two events, in order.
pub(super) type Watched = Vec<(String, CudaEvent, CudaEvent)>;

impl Device {
    /// Runs `work`, which gives one kernel to the stream, and times it if kernels are being watched.
    pub(super) fn watched<T>(
        &self,
        name: impl FnOnce() -> String,
        work: impl FnOnce() -> Result<T, CudaError>,
    ) -> Result<T, CudaError> {
        if !self.is_watching() {
            return work();
        }
        let start = self.stream().record_event(Some(FLAGS))?;
        let done = work()?;
        let end = self.stream().record_event(Some(FLAGS))?;
        self.note((name(), start, end));
        Ok(done)
    }

    /// Ends the watch; the kernels that ran, the longest first.
    pub(crate) fn watched_kernels(&self) -> Result<Vec<KernelTime>, CudaError> {
        let mut sums: HashMap<String, (usize, f64)> = HashMap::new();
        for (name, start, end) in self.stop_watching() {
            let sum = sums.entry(name).or_default();
            sum.0 += 1;
            sum.1 += f64::from(start.elapsed_ms(&end)?);
        }
        let time = |(name, (calls, milliseconds))| KernelTime { name, calls, milliseconds };
        let mut times: Vec<KernelTime> = sums.into_iter().map(time).collect();
        times.sort_by(|a, b| b.milliseconds.total_cmp(&a.milliseconds).then_with(|| a.name.cmp(&b.name)));
        Ok(times)
    }
}
