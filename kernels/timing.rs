//! What can be measured of a device: time, the memory of its pool, and where the time of a stretch of work goes, kernel by
//! kernel. On the CPU there is only time. Nothing here changes what an operator computes.

use std::time::Instant;

use crate::{Device, Result};

/// Started when made. On a GPU it counts the device's time, on the CPU the wall's.
pub struct Stopwatch(Start);

enum Start {
    Cpu(Instant),
    #[cfg(feature = "cuda")]
    Cuda(crate::cuda::Stopwatch),
}

/// Bytes of a device's memory: what tensors hold, and what was taken from the device for them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PoolUse {
    pub used: u64,
    pub reserved: u64,
    /// The most since [`Device::forget_peak`].
    pub used_peak: u64,
    /// The most since [`Device::forget_peak`].
    pub reserved_peak: u64,
}

/// The calls of one kernel, or of one shape of matrix product, in a stretch of work.
#[derive(Debug, Clone, PartialEq)]
pub struct KernelTime {
    pub name: String,
    pub calls: usize,
    pub milliseconds: f64,
}

impl Stopwatch {
    /// Marks the start after all work given so far.
    pub fn start(device: &Device) -> Result<Self> {
        Ok(Self(match device {
            Device::Cpu => Start::Cpu(Instant::now()),
            #[cfg(feature = "cuda")]
            Device::Cuda(device) => Start::Cuda(crate::cuda::Stopwatch::start(device)?),
        }))
    }

    /// Milliseconds from the start to the end of all work given since; waits for it.
    pub fn milliseconds(&self) -> Result<f64> {
        Ok(match &self.0 {
            Start::Cpu(began) => began.elapsed().as_secs_f64() * 1e3,
            #[cfg(feature = "cuda")]
            Start::Cuda(watch) => f64::from(watch.milliseconds()?),
        })
    }
}

impl Device {
    /// Waits until all work given so far is done.
    pub fn synchronize(&self) -> Result<()> {
        match self {
            Self::Cpu => Ok(()),
            #[cfg(feature = "cuda")]
            Self::Cuda(device) => Ok(device.synchronize()?),
        }
    }

    /// The card's name, or `cpu`.
    pub fn model_name(&self) -> Result<String> {
        match self {
            Self::Cpu => Ok("cpu".to_owned()),
            #[cfg(feature = "cuda")]
            Self::Cuda(device) => Ok(device.name()?),
        }
    }

    /// Bytes that this process can have: what the device has free and what the pool holds. Nothing on the CPU.
    pub fn room(&self) -> Result<Option<u64>> {
        match self {
            Self::Cpu => Ok(None),
            #[cfg(feature = "cuda")]
            Self::Cuda(device) => Ok(Some(device.memory()?.free as u64 + device.pool().reserved)),
        }
    }

    /// What tensors hold; nothing on the CPU, where nobody counts.
    pub fn pool(&self) -> Result<Option<PoolUse>> {
        match self {
            Self::Cpu => Ok(None),
            #[cfg(feature = "cuda")]
            Self::Cuda(device) => Ok(Some(device.pool())),
        }
    }

    /// The peaks start again from what is held now.
    pub fn forget_peak(&self) {
        match self {
            Self::Cpu => {}
            #[cfg(feature = "cuda")]
            Self::Cuda(device) => device.forget_peak(),
        }
    }

    /// No more than this is taken from a GPU for tensors; `None` for all there is. Nothing on the CPU.
    pub fn limit_memory(&self, bytes: Option<u64>) {
        #[cfg(feature = "cuda")]
        if let Self::Cuda(device) = self {
            device.limit_memory(bytes);
        }
        #[cfg(not(feature = "cuda"))]
        let _ = bytes;
    }

    /// Gives back what was computed in and holds nothing now.
    pub fn trim(&self) -> Result<()> {
        match self {
            Self::Cpu => Ok(()),
            #[cfg(feature = "cuda")]
            Self::Cuda(device) => Ok(device.trim()?),
        }
    }

    /// Devices of this kind on this machine.
    pub fn siblings(&self) -> usize {
        match self {
            Self::Cpu => 1,
            #[cfg(feature = "cuda")]
            Self::Cuda(_) => crate::cuda::Device::count().max(1),
        }
    }

    /// Times every kernel from now on, which costs a little between them. Nothing on the CPU.
    pub fn watch_kernels(&self) {
        match self {
            Self::Cpu => {}
            #[cfg(feature = "cuda")]
            Self::Cuda(device) => device.watch_kernels(),
        }
    }

    /// Ends [`Device::watch_kernels`]; the kernels that ran, the longest first.
    pub fn watched_kernels(&self) -> Result<Vec<KernelTime>> {
        match self {
            Self::Cpu => Ok(Vec::new()),
            #[cfg(feature = "cuda")]
            Self::Cuda(device) => Ok(device.watched_kernels()?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_has_time_and_no_pool() {
        let watch = Stopwatch::start(&Device::Cpu).unwrap();
        assert!(watch.milliseconds().unwrap() >= 0.0);
        assert_eq!(Device::Cpu.pool().unwrap(), None);
        Device::Cpu.watch_kernels();
        assert_eq!(Device::Cpu.watched_kernels().unwrap(), []);
    }
}
