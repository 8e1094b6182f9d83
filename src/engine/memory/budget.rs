//! How many bytes of a device weights and activations may take.

use kernels::Device;

use crate::engine::error::EngineError;

/// What a CUDA context, its kernels and the matrix library take beside the pool.
pub const CONTEXT_BYTES: u64 = 640 << 20;

/// Of what a device has free: the pool maps memory in whole pages and keeps holes between tensors.
const USABLE_SHARE: f64 = 0.96;

/// Of a machine's memory, when it computes itself: the rest is for the system, the server and the file cache.
const SHARE_OF_HOST: f64 = 0.5;

/// The limit that was set, if any.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Budget {
    /// Bytes that this process may take of the device, its context included.
    pub limit: Option<u64>,
}

impl Budget {
    /// Bytes for weights and activations together, on this device at this moment.
    pub fn bytes(self, device: &Device) -> Result<u64, EngineError> {
        Ok(self.of(device.room()?, host_memory()))
    }

    /// `room` is what the pool holds and the device has free; `None` on the CPU.
    fn of(self, room: Option<u64>, host: u64) -> u64 {
        match (room, self.limit) {
            (Some(room), None) => share(room, USABLE_SHARE),
            (Some(room), Some(limit)) => share(room.min(limit.saturating_sub(CONTEXT_BYTES)), USABLE_SHARE),
            (None, None) => share(host, SHARE_OF_HOST),
            (None, Some(limit)) => limit.min(host),
        }
    }
}

fn share(bytes: u64, share: f64) -> u64 {
    (bytes as f64 * share) as u64
}

fn host_memory() -> u64 {
    let machine = rustix::system::sysinfo();
    machine.totalram as u64 * u64::from(machine.mem_unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn a_limit_holds_with_the_context_in_it_and_a_small_card_holds_more() {
        let free = |limit| Budget { limit };
        assert_eq!(free(None).of(Some(140 * GIB), 0), share(140 * GIB, USABLE_SHARE));
        let limited = free(Some(24_000_000_000)).of(Some(140 * GIB), 0);
        assert!(limited + CONTEXT_BYTES < 24_000_000_000);
        assert_eq!(free(Some(80 * GIB)).of(Some(20 * GIB), 0), share(20 * GIB, USABLE_SHARE));
        assert_eq!(free(None).of(None, 24 * GIB), 12 * GIB);
        assert_eq!(free(Some(4 * GIB)).of(None, 24 * GIB), 4 * GIB);
        assert_eq!(free(Some(GIB / 2)).of(Some(80 * GIB), 0), 0, "less than the context leaves nothing");
    }
}
