//! Which devices of this machine get a worker, and in which number format they compute.

use nvml_wrapper::Nvml;

use super::supervisor::WorkerProcess;
use crate::config::{Devices, LinearFormat};
use crate::domain::device::DeviceName;
use crate::domain::linear::LinearCompute;

/// The processes to keep: one a device.
pub(super) fn processes(devices: &Devices) -> Vec<WorkerProcess> {
    let devices = match devices {
        Devices::These(devices) => devices.clone(),
        Devices::Auto => all(usable_gpus()),
    };
    devices.into_iter().map(|device| WorkerProcess { name: name(device), device }).collect()
}

/// Every GPU, or else the CPU.
fn all(gpus: u32) -> Vec<DeviceName> {
    if gpus == 0 { vec![DeviceName::Cpu] } else { (0..gpus).map(DeviceName::Cuda).collect() }
}

/// GPUs that the driver shows and that this build has kernels for.
fn usable_gpus() -> u32 {
    if !cfg!(feature = "cuda") {
        return 0;
    }
    Nvml::init().and_then(|nvml| nvml.device_count()).unwrap_or(0)
}

/// The number format of linear layers on these devices: the one that was set, or what suits the smallest GPU among them.
pub fn linear_format(wanted: LinearFormat, devices: &Devices) -> LinearCompute {
    let gpus = match (wanted, devices) {
        (LinearFormat::This(format), _) => return format,
        (LinearFormat::Auto, Devices::Auto) => all(usable_gpus()),
        (LinearFormat::Auto, Devices::These(devices)) => devices.clone(),
    };
    LinearCompute::suited_to(gpus.into_iter().filter_map(memory).min())
}

/// Bytes of a GPU; `None` for a CPU and where nothing is known.
fn memory(device: DeviceName) -> Option<u64> {
    let DeviceName::Cuda(number) = device else { return None };
    let nvml = Nvml::init().ok()?;
    let memory = nvml.device_by_index(number).ok()?.memory_info().ok()?;
    Some(memory.total)
}

/// Stable over restarts, so that a job is not given twice to a bad device.
fn name(device: DeviceName) -> String {
    match device {
        DeviceName::Cpu => "cpu".to_owned(),
        DeviceName::Cuda(number) => format!("gpu-{number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_gpu_the_cpu_works() {
        assert_eq!(all(0), [DeviceName::Cpu]);
        assert_eq!(all(2), [DeviceName::Cuda(0), DeviceName::Cuda(1)]);
        assert_eq!(name(DeviceName::Cuda(1)), "gpu-1");
        let cpu = Devices::These(vec![DeviceName::Cpu]);
        assert_eq!(linear_format(LinearFormat::Auto, &cpu), LinearCompute::Bf16);
        assert_eq!(linear_format(LinearFormat::This(LinearCompute::Fp8), &cpu), LinearCompute::Fp8);
    }
}
