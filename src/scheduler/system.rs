//! The real clock and the real random generator.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use rand::TryRngCore;

use crate::domain::clock::{Clock, Moment, Random, UnixMillis};

/// The operating system's clocks.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

/// The operating system's random generator.
#[derive(Debug, Default)]
pub struct SystemRandom;

impl Default for SystemClock {
    fn default() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> UnixMillis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixMillis(since.as_millis() as u64)
    }

    fn monotonic(&self) -> Moment {
        Moment(self.start.elapsed())
    }
}

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        rand::rngs::OsRng.try_fill_bytes(bytes).expect("the operating system has random bytes");
    }
}
