//! When a delivery is tried again. A pure function of what came back, how often it was tried, and chance.

use std::time::Duration;

use crate::domain::clock::UnixMillis;
use crate::domain::webhook::Verdict;

/// Delays before each attempt behind the first: 71 h 35 min 5 s in all, within the 72 h that receivers are used to.
const DELAYS: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 3600),
    Duration::from_secs(5 * 3600),
    Duration::from_secs(10 * 3600),
    Duration::from_secs(14 * 3600),
    Duration::from_secs(20 * 3600),
    Duration::from_secs(20 * 3600),
];

/// Attempts of one delivery, the first included.
pub const ATTEMPTS: usize = DELAYS.len() + 1;

/// A tenth either way keeps receivers that failed together from being tried together.
const JITTER: f64 = 0.1;

/// No receiver puts us off for longer.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// What came back from an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Answer {
        status: u16,
        retry_after: Option<Duration>,
    },
    /// No answer: refused, broken, late.
    None,
}

/// What the attempt with that number (from 1) means for its delivery. `chance` is in `0.0..1.0`.
pub fn verdict(outcome: Outcome, attempt: usize, now: UnixMillis, chance: f64) -> Verdict {
    let asked = match outcome {
        Outcome::Answer { status: 200..=299, .. } => return Verdict::Delivered,
        Outcome::Answer { status: 410, .. } => return Verdict::Gone,
        Outcome::Answer { status: 429 | 502 | 503 | 504, retry_after } => retry_after,
        Outcome::Answer { .. } | Outcome::None => None,
    };
    let Some(delay) = attempt.checked_sub(1).and_then(|done| DELAYS.get(done)) else {
        return Verdict::Exhausted;
    };
    let jittered = delay.mul_f64(1.0 - JITTER + 2.0 * JITTER * chance);
    let asked = asked.map_or(Duration::ZERO, |asked| asked.min(MAX_RETRY_AFTER));
    Verdict::Again(now.after(jittered.max(asked)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILED: Outcome = Outcome::Answer { status: 500, retry_after: None };

    fn delay(outcome: Outcome, attempt: usize, chance: f64) -> u64 {
        match verdict(outcome, attempt, UnixMillis(0), chance) {
            Verdict::Again(at) => at.0 / 1000,
            Verdict::Delivered | Verdict::Exhausted | Verdict::Gone => panic!("no other attempt"),
        }
    }

    #[test]
    fn ten_attempts_are_spread_over_almost_three_days() {
        let delays: Vec<u64> = (1..ATTEMPTS).map(|attempt| delay(FAILED, attempt, 0.5)).collect();
        assert_eq!(delays, [5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 72000]);
        assert_eq!(delays.iter().sum::<u64>(), 71 * 3600 + 35 * 60 + 5);
        assert_eq!(verdict(FAILED, ATTEMPTS, UnixMillis(0), 0.5), Verdict::Exhausted);
        assert_eq!(verdict(Outcome::None, ATTEMPTS + 3, UnixMillis(0), 0.5), Verdict::Exhausted);
    }

    #[test]
    fn chance_moves_a_delay_by_a_tenth_at_most() {
        assert_eq!(delay(FAILED, 2, 0.0), 270);
        assert_eq!(delay(FAILED, 2, 0.999_999), 329);
    }

    #[test]
    fn every_answer_means_one_thing() {
        let of = |status| verdict(Outcome::Answer { status, retry_after: None }, 1, UnixMillis(0), 0.5);
        for status in [200, 201, 204, 299] {
            assert_eq!(of(status), Verdict::Delivered, "{status}");
        }
        for status in [100, 199, 300, 301, 302, 307, 400, 401, 404, 429, 500, 503, 999] {
            assert_eq!(of(status), Verdict::Again(UnixMillis(5000)), "{status}");
        }
        assert_eq!(of(410), Verdict::Gone);
        assert_eq!(verdict(Outcome::None, 1, UnixMillis(0), 0.5), Verdict::Again(UnixMillis(5000)));
    }

    #[test]
    fn a_busy_receiver_may_ask_for_up_to_an_hour() {
        let busy =
            |status, seconds| Outcome::Answer { status, retry_after: Some(Duration::from_secs(seconds)) };
        assert_eq!(delay(busy(503, 60), 1, 0.5), 60);
        assert_eq!(delay(busy(429, 86_400), 1, 0.5), 3600);
        assert_eq!(delay(busy(503, 1), 2, 0.5), 300);
        assert_eq!(delay(busy(500, 60), 1, 0.5), 5);
    }
}
