//! Keys: made once and shown once, checked on every call, revoked for good.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::JobsError;
use crate::domain::clock::{Clock, Moment, Random, UnixMillis};
use crate::domain::id::KeyId;
use crate::domain::key::{KEY_RANDOM_BYTES, KeyOwner, KeyRecord, KeyText, Scope};
use crate::store::Store;

/// A record is trusted for this long; a revocation must work within 5 s everywhere.
const TRUST: Duration = Duration::from_secs(2);

/// Resolution of `last_used_at`.
const TOUCH_EVERY: Duration = Duration::from_secs(60);

/// Records kept at hand; beyond it they are dropped and read again.
const MOST_CACHED: usize = 10_000;

/// The secret under which keys are hashed. Prints as `***`.
#[derive(Clone)]
pub struct Pepper {
    version: u32,
    secret: Vec<u8>,
}

impl Pepper {
    /// Keys remember the version, so that a new pepper does not lock out old keys at once.
    pub fn new(version: u32, secret: Vec<u8>) -> Self {
        Self { version, secret }
    }

    /// For whoever derives another key from it.
    pub fn expose(&self) -> &[u8] {
        &self.secret
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Pepper({}, ***)", self.version)
    }
}

/// What a new key is to be.
#[derive(Debug, Clone)]
pub struct KeyTerms {
    pub name: String,
    pub owner: KeyOwner,
    pub scopes: Vec<Scope>,
    pub expires_at: Option<UnixMillis>,
}

/// A key that does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefusal {
    #[error("unknown or revoked key")]
    Unknown,
    #[error("expired key")]
    Expired,
}

/// All keys of the installation; clones share one cache.
#[derive(Clone)]
pub struct Keys {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    pepper: Pepper,
    cached: Arc<Mutex<HashMap<String, (KeyRecord, Moment)>>>,
}

impl Keys {
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        pepper: Pepper,
    ) -> Self {
        Self { store, clock, random, pepper, cached: Arc::default() }
    }

    /// Makes a key. The text is in no store: whoever gets it here is the last to see it.
    pub async fn create(&self, terms: KeyTerms) -> Result<(KeyRecord, KeyText), JobsError> {
        let now = self.clock.now();
        let mut random = [0; KEY_RANDOM_BYTES];
        self.random.fill(&mut random);
        let text = KeyText::new(terms.owner.kind(), &random);
        let record = KeyRecord {
            id: KeyId::new(now.0, self.random.id_bytes()),
            handle: text.handle().to_owned(),
            name: terms.name,
            owner: terms.owner,
            scopes: terms.scopes,
            digest: text.digest(&self.pepper.secret),
            pepper_version: self.pepper.version,
            redacted: text.redacted(),
            created_at: now,
            expires_at: terms.expires_at,
            revoked_at: None,
            last_used_at: None,
        };
        self.store.save_key(record.clone()).await?;
        Ok((record, text))
    }

    /// The record of a key that opens now, or why it does not.
    pub async fn check(&self, text: &KeyText) -> Result<Result<KeyRecord, KeyRefusal>, JobsError> {
        let Some(record) = self.record(text.handle()).await? else { return Ok(Err(KeyRefusal::Unknown)) };
        let known = record.pepper_version == self.pepper.version
            && text.matches(&self.pepper.secret, &record.digest)
            && record.owner.kind() == text.kind();
        if !known || record.revoked_at.is_some() {
            return Ok(Err(KeyRefusal::Unknown));
        }
        let now = self.clock.now();
        if record.expires_at.is_some_and(|expiry| expiry <= now) {
            return Ok(Err(KeyRefusal::Expired));
        }
        if record.last_used_at.is_none_or(|used| now.since(used) >= TOUCH_EVERY) {
            self.touch(&record, now).await?;
        }
        Ok(Ok(record))
    }

    /// Ends a key at once on this server, within [`TRUST`] on others.
    pub async fn revoke(&self, key: KeyId) -> Result<KeyRecord, JobsError> {
        let mut record = self.store.key(key).await?.ok_or(JobsError::NotFound)?;
        record.revoked_at.get_or_insert(self.clock.now());
        self.store.save_key(record.clone()).await?;
        self.cache().remove(&record.handle);
        Ok(record)
    }

    async fn record(&self, handle: &str) -> Result<Option<KeyRecord>, JobsError> {
        let now = self.clock.monotonic();
        if let Some((record, read)) = self.cache().get(handle)
            && now.since(*read) < TRUST
        {
            return Ok(Some(record.clone()));
        }
        let record = self.store.key_by_handle(handle.to_owned()).await?;
        if let Some(record) = &record {
            self.remember(record.clone(), now);
        }
        Ok(record)
    }

    async fn touch(&self, record: &KeyRecord, now: UnixMillis) -> Result<(), JobsError> {
        self.remember(KeyRecord { last_used_at: Some(now), ..record.clone() }, self.clock.monotonic());
        Ok(self.store.touch_key(record.id, now).await?)
    }

    fn remember(&self, record: KeyRecord, read: Moment) {
        let mut cached = self.cache();
        if cached.len() >= MOST_CACHED {
            cached.clear();
        }
        cached.insert(record.handle.clone(), (record, read));
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, HashMap<String, (KeyRecord, Moment)>> {
        self.cached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
