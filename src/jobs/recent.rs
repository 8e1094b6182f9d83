//! What was read from the store a moment ago and is believed for a moment more.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::domain::clock::Moment;

/// What was read is believed for this long; revocations and new limits must work within 5 s on every server.
const TRUST: Duration = Duration::from_secs(2);

/// Values kept at hand; beyond it they are dropped and read again.
const MOST: usize = 10_000;

/// Values by key, each with when it was read.
pub(super) struct Recent<K, V>(Mutex<HashMap<K, (V, Moment)>>);

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Hash + Eq, V: Clone> Recent<K, V> {
    /// The value, if it was read lately.
    pub(super) fn get(&self, key: &K, now: Moment) -> Option<V> {
        self.get_if(key, now, |_| true)
    }

    /// The value, if it was read lately and fits.
    pub(super) fn get_if(&self, key: &K, now: Moment, fits: impl FnOnce(&V) -> bool) -> Option<V> {
        let values = self.lock();
        let (value, read) = values.get(key)?;
        (now.since(*read) < TRUST && fits(value)).then(|| value.clone())
    }

    pub(super) fn put(&self, key: K, value: V, read: Moment) {
        let mut values = self.lock();
        if values.len() >= MOST {
            values.clear();
        }
        values.insert(key, (value, read));
    }

    pub(super) fn forget(&self, key: &K) {
        self.lock().remove(key);
    }

    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, (V, Moment)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, V> fmt::Debug for Recent<K, V> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Recent")
    }
}
