//! The real clock, whose wall time a test can put forward. What never jumps does not.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use wanserve::domain::clock::{Clock, Moment, UnixMillis};
use wanserve::scheduler::SystemClock;

#[derive(Debug, Default)]
pub(super) struct JumpingClock {
    real: SystemClock,
    ahead_millis: AtomicU64,
}

impl JumpingClock {
    pub(super) fn put_forward(&self, time: Duration) {
        self.ahead_millis.fetch_add(time.as_millis() as u64, Ordering::Relaxed);
    }
}

impl Clock for JumpingClock {
    fn now(&self) -> UnixMillis {
        self.real.now().after(Duration::from_millis(self.ahead_millis.load(Ordering::Relaxed)))
    }

    fn monotonic(&self) -> Moment {
        self.real.monotonic()
    }
}
