//! Tokens: rights of a key, lent to somebody for minutes. They are signed, so that no store is asked who they belong to,
//! and they die with the key that minted them.
//!
//! A signing key is in the store by name only; its seed is derived from the installation's secret and that name.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use hmac::{Hmac, Mac};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::recent::Recent;
use super::{JobsError, Keys};
use crate::domain::clock::{Clock, Random, UnixMillis};
use crate::domain::id::{KeyId, OrganizationId, ProjectId, SigningKeyId, VideoId};
use crate::domain::key::{KeyOwner, KeyRecord, Scope};
use crate::domain::token::{SigningKey, TokenAlgorithm};
use crate::store::{Store, once_durable};

/// The longest life of any token.
pub const LONGEST_LIFE: Duration = Duration::from_secs(3600);

/// Clocks of servers may differ by this much.
const LEEWAY: Duration = Duration::from_secs(30);

/// Sets this use of the secret apart from all others.
const KEY_PURPOSE: &[u8] = b"wanserve token signing v1";

/// What a token is for: one for videos opens no operator's door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    Videos,
    Operator,
}

/// What a new token is to be.
#[derive(Debug, Clone)]
pub struct TokenTerms {
    pub audience: Audience,
    pub life: Duration,
    pub rights: Rights,
}

/// What a token allows; never more than its key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights {
    pub scopes: Vec<Scope>,
    /// The only videos that can be seen.
    pub videos: Option<BTreeSet<VideoId>>,
    pub max_active_jobs: Option<u32>,
    /// Whom the holder of the key gave it to.
    pub user: Option<String>,
}

/// A new token: whoever gets it here is the last to see it.
#[derive(Debug)]
pub struct Minted {
    pub text: String,
    pub expires_at: UnixMillis,
}

/// A token that does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    #[error("not a token of this server")]
    Invalid,
    #[error("expired token")]
    Expired,
}

/// The public half of a signing key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    pub id: SigningKeyId,
    pub bytes: Vec<u8>,
}

/// Mints and checks tokens; clones share what was read.
#[derive(Clone)]
pub struct Tokens {
    store: Arc<dyn Store>,
    keys: Keys,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    secret: Arc<[u8]>,
    issuer: Arc<str>,
    signing_keys: Arc<Recent<(), Arc<[SigningKey]>>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: KeyId,
    aud: String,
    /// Numbers only: a text here would not be checked by everybody.
    exp: u64,
    iat: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nbf: Option<u64>,
    jti: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    org: Option<OrganizationId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    project: Option<ProjectId>,
    scope: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    videos: Option<BTreeSet<VideoId>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limits: Option<ClaimedLimits>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ClaimedLimits {
    max_active_jobs: u32,
}

impl Tokens {
    /// `secret` makes the signing keys; `issuer` stands in every token.
    pub fn new(
        store: Arc<dyn Store>,
        keys: Keys,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        secret: &[u8],
        issuer: &str,
    ) -> Self {
        let (secret, issuer) = (secret.into(), issuer.into());
        Self { store, keys, clock, random, secret, issuer, signing_keys: Arc::default() }
    }

    /// Lends rights of `key`.
    pub async fn mint(&self, key: &KeyRecord, terms: TokenTerms) -> Result<Minted, JobsError> {
        let now = self.clock.now();
        let signing = self.current(now).await?;
        let expires_at = UnixMillis(now.seconds() * 1000).after(terms.life.min(LONGEST_LIFE));
        let (org, project) = tenant_of(key);
        let Rights { scopes, videos, max_active_jobs, user } = terms.rights;
        let scopes: Vec<_> = scopes.iter().map(|scope| scope.as_str()).collect();
        let mut jti = [0; 16];
        self.random.fill(&mut jti);
        let claims = Claims {
            iss: self.issuer.to_string(),
            sub: key.id,
            aud: terms.audience.as_str().to_owned(),
            exp: expires_at.seconds(),
            iat: now.seconds(),
            nbf: None,
            jti: jti.iter().map(|byte| format!("{byte:02x}")).collect(),
            org,
            project,
            scope: scopes.join(" "),
            videos,
            limits: max_active_jobs.map(|max_active_jobs| ClaimedLimits { max_active_jobs }),
            user,
        };
        let header = Header { kid: Some(signing.id.to_string()), ..Header::new(algorithm(&signing)) };
        let pair = self.pair(signing.id).to_pkcs8().expect("a key pair has a form");
        let text = jsonwebtoken::encode(&header, &claims, &EncodingKey::from_ed_der(pair.as_ref()));
        Ok(Minted { text: text.expect("claims become JSON"), expires_at })
    }

    /// The key that a token stands for and what it allows, or why it does not open.
    pub async fn check(
        &self,
        text: &str,
        audience: Audience,
    ) -> Result<Result<(KeyRecord, Rights), TokenRefusal>, JobsError> {
        let now = self.clock.now();
        let Some(signing) = self.signer_of(text, now).await? else { return Ok(Err(TokenRefusal::Invalid)) };
        let claims = match self.claims(text, &signing, audience, now) {
            Ok(claims) => claims,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let Some(key) = self.keys.live(claims.sub).await? else { return Ok(Err(TokenRefusal::Invalid)) };
        let scopes: Option<Vec<Scope>> = claims.scope.split_whitespace().map(Scope::parse).collect();
        let granted = |scope: &Scope| key.scopes.iter().any(|held| held.covers(*scope));
        match scopes.filter(|scopes| scopes.iter().all(granted)) {
            Some(scopes) if tenant_of(&key) == (claims.org, claims.project) => {
                let max_active_jobs = claims.limits.map(|limits| limits.max_active_jobs);
                let (videos, user) = (claims.videos, claims.user);
                Ok(Ok((key, Rights { scopes, videos, max_active_jobs, user })))
            }
            Some(_) | None => Ok(Err(TokenRefusal::Invalid)),
        }
    }

    /// Signs with a new key from now on. What the old one signed is believed until it expires;
    /// what the one before that signed is not, so that rotating twice ends every token.
    pub async fn rotate(&self) -> Result<SigningKey, JobsError> {
        let now = self.clock.now();
        for old in self.store.signing_keys().await?.into_iter().filter(|old| old.vouches(now)) {
            let end = if old.retires_at.is_some() { now } else { now.after(LONGEST_LIFE + LEEWAY) };
            self.store.save_signing_key(SigningKey { retires_at: Some(end), ..old }).await?;
        }
        self.make(now).await
    }

    /// The keys that vouch for tokens now.
    pub async fn published(&self) -> Result<Vec<PublicKey>, JobsError> {
        let now = self.clock.now();
        self.current(now).await?;
        let known = self.known().await?;
        let vouching = known.iter().filter(|key| key.vouches(now));
        Ok(vouching.map(|key| PublicKey { id: key.id, bytes: self.public(key.id) }).collect())
    }

    /// The key that the header names; nothing else of the header is believed.
    async fn signer_of(&self, text: &str, now: UnixMillis) -> Result<Option<SigningKey>, JobsError> {
        let header = jsonwebtoken::decode_header(text);
        let Some(id) = header.ok().and_then(|header| header.kid?.parse::<SigningKeyId>().ok()) else {
            return Ok(None);
        };
        let known = self.known().await?;
        Ok(known.iter().find(|key| key.id == id && key.vouches(now)).cloned())
    }

    fn claims(
        &self,
        text: &str,
        signing: &SigningKey,
        audience: Audience,
        now: UnixMillis,
    ) -> Result<Claims, TokenRefusal> {
        let mut rules = Validation::new(algorithm(signing));
        rules.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        rules.set_audience(&[audience.as_str()]);
        rules.set_issuer(&[&*self.issuer]);
        // Times are judged below, on the clock that everything else goes by.
        rules.validate_exp = false;
        rules.validate_nbf = false;
        let key = DecodingKey::from_ed_der(&self.public(signing.id));
        let claims = jsonwebtoken::decode::<Claims>(text, &key, &rules);
        let claims = claims.map_err(|_| TokenRefusal::Invalid)?.claims;
        let (now, leeway) = (now.seconds(), LEEWAY.as_secs());
        let life = claims.exp.checked_sub(claims.iat);
        let early = claims.iat > now + leeway || claims.nbf.is_some_and(|begin| begin > now + leeway);
        if early || life.is_none_or(|life| life > LONGEST_LIFE.as_secs()) {
            return Err(TokenRefusal::Invalid);
        }
        if now > claims.exp.saturating_add(leeway) { Err(TokenRefusal::Expired) } else { Ok(claims) }
    }

    /// The key that signs; the first one is made when it is needed.
    async fn current(&self, now: UnixMillis) -> Result<SigningKey, JobsError> {
        let known = self.known().await?;
        match known.iter().rfind(|key| key.retires_at.is_none()) {
            Some(key) => Ok(key.clone()),
            None => self.make(now).await,
        }
    }

    async fn make(&self, now: UnixMillis) -> Result<SigningKey, JobsError> {
        let id = SigningKeyId::new(now.0, self.random.id_bytes());
        let key = SigningKey { id, algorithm: TokenAlgorithm::EdDsa, created_at: now, retires_at: None };
        self.store.save_signing_key(key.clone()).await?;
        let read = self.signing_keys.clone();
        once_durable(move || read.clear());
        Ok(key)
    }

    async fn known(&self) -> Result<Arc<[SigningKey]>, JobsError> {
        let now = self.clock.monotonic();
        if let Some(known) = self.signing_keys.get(&(), now) {
            return Ok(known);
        }
        let known: Arc<[SigningKey]> = self.store.signing_keys().await?.into();
        self.signing_keys.put((), known.clone(), now);
        Ok(known)
    }

    fn public(&self, id: SigningKeyId) -> Vec<u8> {
        self.pair(id).public_key().as_ref().to_vec()
    }

    fn pair(&self, id: SigningKeyId) -> Ed25519KeyPair {
        let mac =
            <Hmac<Sha256> as Mac>::new_from_slice(&self.secret).expect("HMAC takes a key of any length");
        let seed = mac.chain_update(KEY_PURPOSE).chain_update(id.to_string()).finalize().into_bytes();
        Ed25519KeyPair::from_seed_unchecked(&seed).expect("a seed has 32 bytes")
    }
}

impl Audience {
    fn as_str(self) -> &'static str {
        match self {
            Self::Videos => "videos",
            Self::Operator => "operator",
        }
    }
}

fn algorithm(key: &SigningKey) -> Algorithm {
    match key.algorithm {
        TokenAlgorithm::EdDsa => Algorithm::EdDSA,
    }
}

fn tenant_of(key: &KeyRecord) -> (Option<OrganizationId>, Option<ProjectId>) {
    match key.owner {
        KeyOwner::Project { scope, .. } => (Some(scope.organization), Some(scope.project)),
        KeyOwner::Admin { organization } => (Some(organization), None),
        KeyOwner::Operator => (None, None),
    }
}
