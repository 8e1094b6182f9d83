//! The device that this worker holds, and what it does at the moment. Everything is optional:
//! without NVIDIA's library there are no numbers, and the work goes on.

use nvml_wrapper::Nvml;
use nvml_wrapper::enum_wrappers::device::TemperatureSensor;
use nvml_wrapper::enums::device::UsedGpuMemory;
use tracing::info;

use crate::domain::device::DeviceName;
use crate::domain::lease::{Device, DeviceStats};

/// The worker's device and, for a GPU, the library that watches it.
pub(super) struct Devices {
    name: DeviceName,
    nvml: Option<Nvml>,
}

impl Devices {
    pub(super) fn open(name: DeviceName) -> Self {
        let nvml = match name {
            DeviceName::Cpu => None,
            DeviceName::Cuda(_) => match Nvml::init() {
                Ok(nvml) => Some(nvml),
                Err(error) => {
                    info!("no numbers about the device: {error}");
                    None
                }
            },
        };
        Self { name, nvml }
    }

    /// For the hello.
    pub(super) fn describe(&self) -> Vec<Device> {
        let stats = self.stats()[0];
        let (index, gpu) = match self.name {
            DeviceName::Cpu => (0, None),
            DeviceName::Cuda(index) => (index, self.gpu(index)),
        };
        let Some(gpu) = gpu else {
            return vec![Device { index, name: self.name.to_string(), stats, ..Device::default() }];
        };
        let driver = self.nvml.as_ref().and_then(|nvml| nvml.sys_driver_version().ok());
        let capability = gpu.cuda_compute_capability().map(|it| format!("{}.{}", it.major, it.minor));
        vec![Device {
            index,
            uuid: gpu.uuid().unwrap_or_default(),
            name: gpu.name().unwrap_or_default(),
            driver: driver.unwrap_or_default(),
            compute_capability: capability.unwrap_or_default(),
            stats,
        }]
    }

    /// Zero where nothing is known.
    pub(super) fn stats(&self) -> Vec<DeviceStats> {
        let DeviceName::Cuda(index) = self.name else { return vec![DeviceStats::default()] };
        let Some(gpu) = self.gpu(index) else { return vec![DeviceStats::default()] };
        let memory = gpu.memory_info().ok();
        vec![DeviceStats {
            memory_total_bytes: memory.as_ref().map_or(0, |memory| memory.total),
            memory_used_bytes: memory.as_ref().map_or(0, |memory| memory.used),
            memory_reserved_bytes: memory.as_ref().map_or(0, |memory| memory.reserved),
            process_memory_used_bytes: own_memory(&gpu),
            utilization_ratio: gpu.utilization_rates().map_or(0.0, |rates| f64::from(rates.gpu) / 100.0),
            power_watts: gpu.power_usage().map_or(0.0, |milliwatts| f64::from(milliwatts) / 1000.0),
            temperature_celsius: gpu.temperature(TemperatureSensor::Gpu).map_or(0.0, f64::from),
        }]
    }

    /// Device memory of this process, in bytes.
    pub(super) fn own_memory(&self) -> u64 {
        self.stats().iter().map(|device| device.process_memory_used_bytes).sum()
    }

    fn gpu(&self, index: u32) -> Option<nvml_wrapper::Device<'_>> {
        self.nvml.as_ref()?.device_by_index(index).ok()
    }
}

/// What the driver says of this process.
pub struct ProcessMemory(Devices);

impl ProcessMemory {
    /// On one device; opens the driver's library once.
    pub fn on(name: DeviceName) -> Self {
        Self(Devices::open(name))
    }

    /// Bytes of the device that this process takes now; `None` for a CPU and where it is not told.
    pub fn bytes(&self) -> Option<u64> {
        Some(self.0.own_memory()).filter(|bytes| *bytes > 0)
    }
}

/// Device memory of this process.
fn own_memory(gpu: &nvml_wrapper::Device<'_>) -> u64 {
    let processes = gpu.running_compute_processes().unwrap_or_default();
    let ours = processes.iter().find(|process| process.pid == std::process::id());
    match ours.map(|process| &process.used_gpu_memory) {
        Some(UsedGpuMemory::Used(bytes)) => *bytes,
        Some(UsedGpuMemory::Unavailable) | None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpu_has_a_name_and_no_numbers() {
        let devices = Devices::open(DeviceName::Cpu);
        assert_eq!(devices.describe()[0].name, "cpu");
        assert_eq!(devices.stats(), [DeviceStats::default()]);
    }
}
