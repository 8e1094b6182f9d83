//! Token buckets by key, on the clock that everything else goes by.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter, clock};

use super::standing::Standing;
use crate::domain::clock::Clock;

/// Buckets kept at hand; above it, full ones are forgotten, which changes nothing for their owners.
const MANY_BUCKETS: usize = 10_000;

const MINUTE: Duration = Duration::from_secs(60);

/// A bucket a key, each of the same size.
pub(super) struct Buckets<K: Hash + Eq + Clone> {
    /// `None` without a limit.
    limited: Option<Limited<K>>,
}

struct Limited<K: Hash + Eq + Clone> {
    per_minute: NonZeroU32,
    limiter: RateLimiter<K, HashMapStateStore<K>, Monotonic, StateInformationMiddleware>,
    clock: Monotonic,
}

/// Our clock as the limiter asks it.
#[derive(Clone)]
struct Monotonic(Arc<dyn Clock>);

impl clock::Clock for Monotonic {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.monotonic().0
    }
}

impl<K: Hash + Eq + Clone> Buckets<K> {
    pub(super) fn new(per_minute: Option<NonZeroU32>, clock: &Arc<dyn Clock>) -> Self {
        let limited = per_minute.map(|per_minute| {
            let clock = Monotonic(clock.clone());
            let state = HashMapStateStore::default();
            let limiter = RateLimiter::new(Quota::per_minute(per_minute), state, clock.clone());
            Limited { per_minute, limiter, clock }
        });
        Self { limited }
    }

    /// Takes a token of that key's bucket.
    pub(super) fn take(&self, key: &K) -> Standing {
        let Some(limited) = &self.limited else { return Standing::default() };
        if limited.limiter.len() > MANY_BUCKETS {
            limited.limiter.retain_recent();
            limited.limiter.shrink_to_fit();
        }
        let (remaining, wait) = match limited.limiter.check_key(key) {
            Ok(state) => (state.remaining_burst_capacity(), None),
            Err(refused) => {
                let now = clock::Clock::now(&limited.clock);
                (0, Some(refused.wait_time_from(now)))
            }
        };
        let limit = limited.per_minute.get();
        let reset = MINUTE * (limit - remaining.min(limit)) / limit;
        Standing { limit: Some(limit), remaining, reset, wait, jobs: None }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::domain::clock::{Moment, UnixMillis};

    #[derive(Debug, Default)]
    struct Hand(Mutex<Duration>);

    impl Clock for Hand {
        fn now(&self) -> UnixMillis {
            UnixMillis(0)
        }

        fn monotonic(&self) -> Moment {
            Moment(*self.0.lock().unwrap())
        }
    }

    #[test]
    fn a_bucket_holds_a_minutes_worth_and_fills_evenly() {
        let hand = Arc::new(Hand::default());
        let clock: Arc<dyn Clock> = hand.clone();
        let buckets = Buckets::new(NonZeroU32::new(6), &clock);
        let left: Vec<_> = (0..6).map(|_| buckets.take(&1).remaining).collect();
        assert_eq!(left, [5, 4, 3, 2, 1, 0]);
        let refused = buckets.take(&1);
        assert_eq!((refused.wait, refused.remaining), (Some(Duration::from_secs(10)), 0));
        assert_eq!(buckets.take(&2).wait, None, "another key has a bucket of its own");
        *hand.0.lock().unwrap() = Duration::from_secs(10);
        let later = buckets.take(&1);
        assert_eq!((later.wait, later.remaining, later.reset), (None, 0, MINUTE));
        assert!(buckets.take(&1).wait.is_some());
        assert_eq!(Buckets::new(None, &clock).take(&1).limit, None);
    }
}
