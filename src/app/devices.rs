//! Which devices of this machine get a worker.

use nvml_wrapper::Nvml;

use super::supervisor::WorkerProcess;
use crate::config::Devices;
use crate::domain::device::DeviceName;

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
    }
}
