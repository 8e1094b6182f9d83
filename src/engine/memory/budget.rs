//! How many bytes of a device weights and activations may take, and how many of the host's memory weights that left it.

use kernels::Device;

use crate::engine::error::EngineError;

/// What a process takes of a GPU beside its tensors: measured as 533 MiB on an H100 for the context, every kernel and the
/// matrix library, with the 32 MiB that the library works in. Smaller cards need less.
pub const CONTEXT_BYTES: u64 = 576 << 20;

/// Of what may be taken: tensors of many sizes leave holes between them, and what is in a network's region or computed in
/// comes in steps.
const USABLE_SHARE: f64 = 0.96;

/// Of a machine's memory, when it computes itself, or for what leaves its GPUs: the rest is for the system, the server and
/// the file cache.
const SHARE_OF_HOST: f64 = 0.5;

/// The limits that were set, if any.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Budget {
    /// Bytes that this process may take of the device, its context included.
    pub limit: Option<u64>,
    /// Bytes of the host's memory for weights that left a GPU.
    pub host: Option<u64>,
}

impl Budget {
    /// Bytes for weights and activations together, on this device at this moment.
    pub fn bytes(self, device: &Device) -> Result<u64, EngineError> {
        Ok(self.of(device.room()?, host_memory()))
    }

    /// What tensors may take of a GPU at most.
    pub fn tensors(self) -> Option<u64> {
        self.limit.map(|limit| limit.saturating_sub(CONTEXT_BYTES))
    }

    /// Bytes of pinned memory; the GPUs of a machine share what there is.
    pub fn host_bytes(self, device: &Device) -> u64 {
        self.host.unwrap_or_else(|| share(host_memory(), SHARE_OF_HOST) / device.siblings() as u64)
    }

    /// `room` is what tensors hold and the device has free; `None` on the CPU.
    fn of(self, room: Option<u64>, host: u64) -> u64 {
        match (room, self.limit) {
            (Some(room), _) => share(self.tensors().map_or(room, |limit| room.min(limit)), USABLE_SHARE),
            (None, None) => share(host, SHARE_OF_HOST),
            (None, Some(limit)) => limit.min(host),
        }
    }
}

fn share(bytes: u64, share: f64) -> u64 {
    (bytes as f64 * share) as u64
}

/// The machine's, or what its container may take of it.
fn host_memory() -> u64 {
    let machine = rustix::system::sysinfo();
    let all = machine.totalram as u64 * u64::from(machine.mem_unit);
    let allowed = |file| std::fs::read_to_string(file).ok()?.trim().parse::<u64>().ok();
    CONTAINER_LIMITS.into_iter().filter_map(allowed).fold(all, u64::min)
}

/// Files of the two versions of control groups; the newer says `max` where there is no limit.
const CONTAINER_LIMITS: [&str; 2] =
    ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn a_limit_holds_with_the_context_in_it_and_a_small_card_holds_more() {
        let free = |limit| Budget { limit, host: None };
        assert_eq!(free(None).of(Some(140 * GIB), 0), share(140 * GIB, USABLE_SHARE));
        let limited = free(Some(24_000_000_000)).of(Some(140 * GIB), 0);
        assert!(limited + CONTEXT_BYTES < 24_000_000_000);
        assert_eq!(free(Some(80 * GIB)).of(Some(20 * GIB), 0), share(20 * GIB, USABLE_SHARE));
        assert_eq!(free(None).of(None, 24 * GIB), 12 * GIB);
        assert_eq!(free(Some(4 * GIB)).of(None, 24 * GIB), 4 * GIB);
        assert_eq!(Budget { limit: None, host: Some(7) }.host_bytes(&Device::Cpu), 7);
        assert_eq!(free(Some(GIB / 2)).of(Some(80 * GIB), 0), 0, "less than the context leaves nothing");
    }
}
