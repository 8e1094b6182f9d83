//! Time and chance as arguments: what the rest of the program asks instead of the operating system.
//! Only the words stand here; who reads the real clock is elsewhere.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::id::ID_RANDOM_BYTES;

/// A moment of wall time, in milliseconds since the Unix epoch. Shown to people; never used to expire a lease.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// The latest moment there is: databases count in 64 bits with a sign, and a later one would come out as negative.
    pub const LATEST: Self = Self(i64::MAX as u64);

    /// So many whole seconds since the Unix epoch, as the wire writes times; whatever is too late is the latest.
    pub fn of_seconds(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1000)).min(Self::LATEST)
    }

    /// Whole seconds since the Unix epoch, rounded down, as the wire writes times.
    pub fn seconds(self) -> u64 {
        self.0 / 1000
    }

    /// The moment `delay` later.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self(self.0.saturating_add(delay.as_millis() as u64))
    }

    /// Time since `earlier`; zero if that lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// A moment on a clock that never jumps: time since some fixed point of this process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub Duration);

impl Moment {
    /// Time since `earlier`; zero if that lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// So much later.
    #[must_use]
    pub fn after(self, time: Duration) -> Self {
        Self(self.0 + time)
    }
}

/// Where the time comes from.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Wall time.
    fn now(&self) -> UnixMillis;

    /// Time on a clock that never jumps: what leases expire by.
    fn monotonic(&self) -> Moment;
}

/// Where random bytes come from.
pub trait Random: Send + Sync + fmt::Debug {
    /// Fills the whole slice with bytes nobody can guess.
    fn fill(&self, bytes: &mut [u8]);

    /// The random part of a new id.
    fn id_bytes(&self) -> [u8; ID_RANDOM_BYTES] {
        let mut bytes = [0; ID_RANDOM_BYTES];
        self.fill(&mut bytes);
        bytes
    }

    /// A number in `0.0..1.0`.
    fn fraction(&self) -> f64 {
        let mut bytes = [0; 4];
        self.fill(&mut bytes);
        f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
    }
}
