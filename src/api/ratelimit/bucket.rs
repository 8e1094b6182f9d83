//! Token buckets by key, on the clock that everything else goes by. The size of a bucket is told with each request,
//! since an administrator may change it at any time.

use std::collections::HashMap;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter, clock};

use super::standing::Requests;
use crate::domain::clock::Clock;

/// Buckets of one size kept at hand; above it, full ones are forgotten, which changes nothing for their owners.
const MANY_BUCKETS: usize = 10_000;

/// Sizes kept at hand; above it, those without a bucket in use are forgotten.
const MANY_SIZES: usize = 64;

/// A bucket a key, filled evenly in `period`.
pub(super) struct Buckets<K: Hash + Eq + Clone> {
    period: Duration,
    clock: Monotonic,
    sizes: Mutex<HashMap<NonZeroU32, Arc<Limiter<K>>>>,
}

type Limiter<K> = RateLimiter<K, HashMapStateStore<K>, Monotonic, StateInformationMiddleware>;

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
    pub(super) fn new(period: Duration, clock: &Arc<dyn Clock>) -> Self {
        Self { period, clock: Monotonic(clock.clone()), sizes: Mutex::default() }
    }

    /// Takes a token of that key's bucket. A key whose size changes begins with a full bucket.
    pub(super) fn take(&self, key: &K, size: Option<NonZeroU32>) -> Requests {
        let Some(size) = size else { return Requests::default() };
        let limiter = self.limiter(size);
        if limiter.len() > MANY_BUCKETS {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
        let (remaining, wait) = match limiter.check_key(key) {
            Ok(state) => (state.remaining_burst_capacity(), None),
            Err(refused) => (0, Some(refused.wait_time_from(clock::Clock::now(&self.clock)))),
        };
        let limit = size.get();
        let reset = self.period * (limit - remaining.min(limit)) / limit;
        Requests { limit: Some(limit), remaining, period: self.period, reset, wait }
    }

    fn limiter(&self, size: NonZeroU32) -> Arc<Limiter<K>> {
        let mut sizes = self.sizes.lock().unwrap_or_else(PoisonError::into_inner);
        if sizes.len() > MANY_SIZES {
            sizes.retain(|_, limiter| {
                limiter.retain_recent();
                !limiter.is_empty()
            });
        }
        let make = || {
            let one = self.period / size.get();
            let quota = Quota::with_period(one).expect("a period is not zero").allow_burst(size);
            let state = HashMapStateStore::default();
            let limiter = RateLimiter::new(quota, state, self.clock.clone());
            Arc::new(limiter)
        };
        sizes.entry(size).or_insert_with(make).clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::domain::clock::{Moment, UnixMillis};

    const MINUTE: Duration = Duration::from_secs(60);

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
        let buckets = Buckets::new(MINUTE, &clock);
        let six = NonZeroU32::new(6);
        let left: Vec<_> = (0..6).map(|_| buckets.take(&1, six).remaining).collect();
        assert_eq!(left, [5, 4, 3, 2, 1, 0]);
        let refused = buckets.take(&1, six);
        assert_eq!((refused.wait, refused.remaining), (Some(Duration::from_secs(10)), 0));
        assert_eq!(buckets.take(&2, six).wait, None, "another key has a bucket of its own");
        *hand.0.lock().unwrap() = Duration::from_secs(10);
        let later = buckets.take(&1, six);
        assert_eq!((later.wait, later.remaining, later.reset), (None, 0, MINUTE));
        assert!(buckets.take(&1, six).wait.is_some());
        assert_eq!(buckets.take(&1, NonZeroU32::new(60)).remaining, 59, "a new size begins full");
        assert_eq!(buckets.take(&1, None).limit, None);
    }
}
