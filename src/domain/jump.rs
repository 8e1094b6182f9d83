//! Notices when the wall clock jumps, by holding it against the clock that never does. Reads neither: both are handed in.

use std::time::Duration;

use super::clock::{Moment, UnixMillis};

/// A wall clock that runs this far from the monotonic one between two looks has jumped: slewing moves it by less than a
/// tenth of a second in a minute.
const JUMP: Duration = Duration::from_secs(5);

/// After a jump no deadline in wall time is acted upon for this long: a wrong clock is often put right soon.
const PAUSE: Duration = Duration::from_secs(60);

/// Remembers between two looks what time it was.
#[derive(Debug, Default)]
pub struct Jumps {
    last: Option<(UnixMillis, Moment)>,
    paused_until: Option<Moment>,
}

impl Jumps {
    /// Looks at both clocks. Answers by how many milliseconds the wall clock jumped since the last look, if it did.
    pub fn look(&mut self, at: UnixMillis, now: Moment) -> Option<i64> {
        let (last_at, last_now) = self.last.replace((at, now))?;
        let true_millis = now.since(last_now).as_millis() as i128;
        let jump = i128::from(at.0) - i128::from(last_at.0) - true_millis;
        (jump.unsigned_abs() > JUMP.as_millis()).then(|| {
            self.paused_until = Some(now.after(PAUSE));
            jump as i64
        })
    }

    /// Whether deadlines in wall time may be acted upon now.
    pub fn trusts(&self, now: Moment) -> bool {
        self.paused_until.is_none_or(|until| now >= until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(jumps: &mut Jumps, wall: u64, monotonic: u64) -> (Option<i64>, bool) {
        let now = Moment(Duration::from_secs(monotonic));
        (jumps.look(UnixMillis(wall * 1000), now), jumps.trusts(now))
    }

    #[test]
    fn a_clock_that_runs_is_trusted_and_one_that_jumps_is_not_for_a_minute() {
        let mut jumps = Jumps::default();
        assert_eq!(look(&mut jumps, 1_000, 0), (None, true));
        assert_eq!(look(&mut jumps, 1_065, 60), (None, true), "five seconds are no jump");
        assert_eq!(look(&mut jumps, 1_131, 120), (Some(6_000), false));
        assert_eq!(look(&mut jumps, 1_190, 179), (None, false));
        assert_eq!(look(&mut jumps, 1_191, 180), (None, true));
        assert_eq!(look(&mut jumps, 192, 181), (Some(-1_000_000), false), "backwards too");
        assert_eq!(look(&mut jumps, 1_232, 221), (Some(1_000_000), false));
        assert_eq!(look(&mut jumps, 1_291, 280), (None, false), "each jump begins the pause anew");
        assert_eq!(look(&mut jumps, 1_292, 281), (None, true));
    }
}
