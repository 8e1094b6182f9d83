//! Keys: made once and shown once, checked on every call, revoked for good.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use subtle::ConstantTimeEq;

use super::JobsError;
use super::recent::Recent;
use crate::domain::clock::{Clock, Random, UnixMillis};
use crate::domain::id::KeyId;
use crate::domain::key::{KEY_RANDOM_BYTES, KeyOwner, KeyRecord, KeyText, Scope};
use crate::store::{Store, once_durable};

/// Resolution of `last_used_at`.
const TOUCH_EVERY: Duration = Duration::from_secs(60);

/// The digest of nobody's key; as long as any.
const NO_DIGEST: &str = "0000000000000000000000000000000000000000000000000000000000000000";

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
    by_handle: Arc<Recent<String, KeyRecord>>,
    by_id: Arc<Recent<KeyId, KeyRecord>>,
}

impl Keys {
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        pepper: Pepper,
    ) -> Self {
        let (by_handle, by_id) = (Arc::default(), Arc::default());
        Self { store, clock, random, pepper, by_handle, by_id }
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
            overlap_ends_at: None,
            revoked_at: None,
            last_used_at: None,
        };
        self.store.save_key(record.clone()).await?;
        Ok((record, text))
    }

    /// The record of a key that opens now, or why it does not.
    pub async fn check(&self, text: &KeyText) -> Result<Result<KeyRecord, KeyRefusal>, JobsError> {
        let Some(record) = self.record(text).await? else { return Ok(Err(KeyRefusal::Unknown)) };
        if record.revoked_at.is_some() {
            return Ok(Err(KeyRefusal::Unknown));
        }
        let now = self.clock.now();
        if record.has_expired(now) {
            return Ok(Err(KeyRefusal::Expired));
        }
        if record.last_used_at.is_none_or(|used| now.since(used) >= TOUCH_EVERY) {
            self.touch(&record, now).await?;
        }
        Ok(Ok(record))
    }

    /// The record of that key, unless it is revoked or expired.
    pub async fn live(&self, key: KeyId) -> Result<Option<KeyRecord>, JobsError> {
        let read = self.clock.monotonic();
        let record = match self.by_id.get(&key, read) {
            Some(record) => record,
            None => {
                let Some(record) = self.store.key(key).await? else { return Ok(None) };
                self.by_id.put(key, record.clone(), read);
                record
            }
        };
        let now = self.clock.now();
        let over = record.revoked_at.is_some() || record.has_expired(now);
        Ok((!over).then_some(record))
    }

    /// Replaces a record, at once on this server, within seconds on others.
    pub async fn save(&self, record: KeyRecord) -> Result<(), JobsError> {
        let (handle, id) = (record.handle.clone(), record.id);
        self.store.save_key(record).await?;
        let (by_handle, by_id) = (self.by_handle.clone(), self.by_id.clone());
        once_durable(move || {
            by_handle.forget(&handle);
            by_id.forget(&id);
        });
        Ok(())
    }

    /// Ends a key at once on this server, within seconds on others.
    pub async fn revoke(&self, key: KeyId) -> Result<KeyRecord, JobsError> {
        let mut record = self.store.key(key).await?.ok_or(JobsError::NotFound)?;
        record.revoked_at.get_or_insert(self.clock.now());
        self.save(record.clone()).await?;
        Ok(record)
    }

    /// The record of exactly this key. What was read a moment ago is believed only by whoever has the whole key: everybody
    /// else waits for the store, which reads one record either way, and for one comparison, so that time does not tell which
    /// handles exist or are in use.
    async fn record(&self, text: &KeyText) -> Result<Option<KeyRecord>, JobsError> {
        let digest = text.digest(&self.pepper.secret);
        let fits = |record: &KeyRecord| {
            let same = bool::from(record.digest.as_bytes().ct_eq(digest.as_bytes()));
            same && record.pepper_version == self.pepper.version && record.owner.kind() == text.kind()
        };
        let (handle, now) = (text.handle().to_owned(), self.clock.monotonic());
        if let Some(record) = self.by_handle.get_if(&handle, now, fits) {
            return Ok(Some(record));
        }
        let Some(record) = self.store.key_by_handle(handle.clone()).await? else {
            std::hint::black_box(bool::from(NO_DIGEST.as_bytes().ct_eq(digest.as_bytes())));
            return Ok(None);
        };
        if !fits(&record) {
            return Ok(None);
        }
        self.by_handle.put(handle, record.clone(), now);
        Ok(Some(record))
    }

    async fn touch(&self, record: &KeyRecord, now: UnixMillis) -> Result<(), JobsError> {
        let touched = KeyRecord { last_used_at: Some(now), ..record.clone() };
        self.by_handle.put(record.handle.clone(), touched, self.clock.monotonic());
        Ok(self.store.touch_key(record.id, now).await?)
    }
}
