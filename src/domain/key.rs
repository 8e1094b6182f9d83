//! API keys: their text form with its checksum, what is kept of them, and what they allow.
//! Random bytes and the pepper are handed in; the secret itself is never kept.

use std::fmt;
use std::str::FromStr;

use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::clock::UnixMillis;
use super::id::{KeyId, OrganizationId, ProjectId, ServiceAccountId};

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const HANDLE_LENGTH: usize = 16;
/// 62^43 is just over 2^256.
const SECRET_LENGTH: usize = 43;
/// 62^6 is over 2^32.
const CHECK_LENGTH: usize = 6;
/// 62^16 is over 2^88.
const HANDLE_BYTES: usize = 11;
const SECRET_BYTES: usize = 32;

/// Random bytes that a new key needs.
pub const KEY_RANDOM_BYTES: usize = HANDLE_BYTES + SECRET_BYTES;

/// What a key opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyKind {
    /// `/v1` of one project.
    Project,
    /// `/v1/organization` of one organisation.
    Admin,
    /// `/admin/v1` of the installation.
    Operator,
}

/// A whole key, secret included. Prints as `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyText(String);

/// A text that is no key: wrong shape or wrong checksum.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an API key")]
pub struct BadKey;

/// What one may do with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Scope {
    #[serde(rename = "videos.read")]
    VideosRead,
    #[serde(rename = "videos.write")]
    VideosWrite,
    #[serde(rename = "videos.delete")]
    VideosDelete,
    #[serde(rename = "files.read")]
    FilesRead,
    #[serde(rename = "files.write")]
    FilesWrite,
    #[serde(rename = "models.read")]
    ModelsRead,
    #[serde(rename = "webhooks.read")]
    WebhooksRead,
    #[serde(rename = "webhooks.write")]
    WebhooksWrite,
    #[serde(rename = "usage.read")]
    UsageRead,
    #[serde(rename = "tokens.mint")]
    TokensMint,
    #[serde(rename = "org.read")]
    OrganizationRead,
    #[serde(rename = "org.write")]
    OrganizationWrite,
    #[serde(rename = "all")]
    All,
}

/// The project that a caller acts for; every query is filtered by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProjectScope {
    pub organization: OrganizationId,
    pub project: ProjectId,
}

/// Whom a key belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyOwner {
    Project { scope: ProjectScope, account: ServiceAccountId },
    Admin { organization: OrganizationId },
    Operator,
}

/// What is kept of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRecord {
    pub id: KeyId,
    /// The 16 characters by which the record is found.
    pub handle: String,
    pub name: String,
    pub owner: KeyOwner,
    pub scopes: Vec<Scope>,
    /// HMAC-SHA-256 of the whole text under the pepper, as hex.
    pub digest: String,
    pub pepper_version: u32,
    /// As shown to people: `vk_proj_Exam…9TQK`.
    pub redacted: String,
    pub created_at: UnixMillis,
    pub expires_at: Option<UnixMillis>,
    /// When only its successor opens, once it was rotated.
    #[serde(default)]
    pub overlap_ends_at: Option<UnixMillis>,
    pub revoked_at: Option<UnixMillis>,
    /// With a resolution of a minute.
    pub last_used_at: Option<UnixMillis>,
}

impl KeyKind {
    /// As written in the key.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Project => "proj",
            Self::Admin => "admin",
            Self::Operator => "op",
        }
    }
}

impl KeyOwner {
    pub fn kind(self) -> KeyKind {
        match self {
            Self::Project { .. } => KeyKind::Project,
            Self::Admin { .. } => KeyKind::Admin,
            Self::Operator => KeyKind::Operator,
        }
    }
}

impl KeyRecord {
    /// When it stops opening by itself: by its own terms, or when the overlap with its successor is over.
    pub fn ends_at(&self) -> Option<UnixMillis> {
        self.expires_at.into_iter().chain(self.overlap_ends_at).min()
    }

    pub fn has_expired(&self, now: UnixMillis) -> bool {
        self.ends_at().is_some_and(|end| end <= now)
    }
}

impl KeyText {
    /// A new key from fresh random bytes.
    pub fn new(kind: KeyKind, random: &[u8; KEY_RANDOM_BYTES]) -> Self {
        let (handle, secret) = random.split_at(HANDLE_BYTES);
        let mut text = format!(
            "vk_{}_{}_{}",
            kind.as_str(),
            base62(handle, HANDLE_LENGTH),
            base62(secret, SECRET_LENGTH)
        );
        text.push_str(&check(&text));
        Self(text)
    }

    pub fn kind(&self) -> KeyKind {
        parts(&self.0).expect("checked when it was made").0
    }

    /// The part by which the record is found.
    pub fn handle(&self) -> &str {
        parts(&self.0).expect("checked when it was made").1
    }

    /// The secret text, to be shown once.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What may be shown at any time.
    pub fn redacted(&self) -> String {
        let handle = self.handle();
        format!("vk_{}_{}…{}", self.kind().as_str(), &handle[..4], &self.0[self.0.len() - 4..])
    }

    /// HMAC-SHA-256 under the pepper, as hex: all that is kept of the secret.
    pub fn digest(&self, pepper: &[u8]) -> String {
        let mac = <Hmac<Sha256> as Mac>::new_from_slice(pepper).expect("HMAC takes a key of any length");
        let mac = mac.chain_update(self.0.as_bytes()).finalize().into_bytes();
        mac.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl FromStr for KeyText {
    type Err = BadKey;

    /// Strict: kind, lengths, alphabet and checksum. No database is needed to refuse a typo.
    fn from_str(text: &str) -> Result<Self, BadKey> {
        parts(text).map(|_| Self(text.to_owned())).ok_or(BadKey)
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("***")
    }
}

impl Scope {
    /// Every scope of a project key, without `all`.
    pub const PROJECT: [Self; 10] = [
        Self::VideosRead,
        Self::VideosWrite,
        Self::VideosDelete,
        Self::FilesRead,
        Self::FilesWrite,
        Self::ModelsRead,
        Self::WebhooksRead,
        Self::WebhooksWrite,
        Self::UsageRead,
        Self::TokensMint,
    ];

    /// As written on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::VideosRead => "videos.read",
            Self::VideosWrite => "videos.write",
            Self::VideosDelete => "videos.delete",
            Self::FilesRead => "files.read",
            Self::FilesWrite => "files.write",
            Self::ModelsRead => "models.read",
            Self::WebhooksRead => "webhooks.read",
            Self::WebhooksWrite => "webhooks.write",
            Self::UsageRead => "usage.read",
            Self::TokensMint => "tokens.mint",
            Self::OrganizationRead => "org.read",
            Self::OrganizationWrite => "org.write",
            Self::All => "all",
        }
    }

    /// Every scope of an admin key, without `all`.
    pub const ADMIN: [Self; 2] = [Self::OrganizationRead, Self::OrganizationWrite];

    /// The scope of that name.
    pub fn parse(name: &str) -> Option<Self> {
        let all = Self::PROJECT.into_iter().chain(Self::ADMIN).chain([Self::All]);
        all.into_iter().find(|scope| scope.as_str() == name)
    }

    /// Whether holding `self` is enough where `needed` is asked for.
    pub fn covers(self, needed: Self) -> bool {
        match self {
            Self::All => true,
            Self::VideosWrite => matches!(needed, Self::VideosWrite | Self::VideosRead),
            Self::VideosRead
            | Self::VideosDelete
            | Self::FilesRead
            | Self::FilesWrite
            | Self::ModelsRead
            | Self::WebhooksRead
            | Self::WebhooksWrite
            | Self::UsageRead
            | Self::TokensMint
            | Self::OrganizationRead
            | Self::OrganizationWrite => self == needed,
        }
    }
}

/// Kind and handle of a well-formed key with the right checksum.
fn parts(text: &str) -> Option<(KeyKind, &str)> {
    let body = text.strip_prefix("vk_")?;
    let (kind, rest) = body.split_once('_')?;
    let kind = match kind {
        "proj" => KeyKind::Project,
        "admin" => KeyKind::Admin,
        "op" => KeyKind::Operator,
        _ => return None,
    };
    let (handle, tail) = rest.split_once('_')?;
    let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let shaped = handle.len() == HANDLE_LENGTH
        && tail.len() == SECRET_LENGTH + CHECK_LENGTH
        && plain(handle)
        && plain(tail);
    if !shaped {
        return None;
    }
    let (covered, sum) = text.split_at(text.len() - CHECK_LENGTH);
    (check(covered) == sum).then_some((kind, handle))
}

/// CRC-32 (IEEE) of the text, six base-62 characters.
fn check(text: &str) -> String {
    base62(&crc32fast::hash(text.as_bytes()).to_be_bytes(), CHECK_LENGTH)
}

/// The bytes as one big-endian number in base 62, padded with `0` on the left.
fn base62(bytes: &[u8], length: usize) -> String {
    let mut number = bytes.to_vec();
    let mut digits = vec![ALPHABET[0]; length];
    for digit in digits.iter_mut().rev() {
        let remainder = number.iter_mut().fold(0u32, |carry, byte| {
            let value = (carry << 8) | u32::from(*byte);
            *byte = (value / 62) as u8;
            value % 62
        });
        *digit = ALPHABET[remainder as usize];
    }
    digits.into_iter().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_contract() {
        let prefix = "vk_proj_ExampleKeyId0001_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg";
        assert_eq!(check(prefix), "0w9TQK");
        let key: KeyText = format!("{prefix}0w9TQK").parse().unwrap();
        assert_eq!(key.handle(), "ExampleKeyId0001");
        assert_eq!(key.redacted(), "vk_proj_Exam…9TQK");
        assert_eq!(format!("{key:?}"), "***");
    }

    #[test]
    fn a_new_key_is_read_back_and_a_typo_is_not() {
        for (kind, fill) in [(KeyKind::Project, 0), (KeyKind::Admin, 0x5a), (KeyKind::Operator, 0xff)] {
            let key = KeyText::new(kind, &[fill; KEY_RANDOM_BYTES]);
            assert_eq!(key.reveal().parse(), Ok(key.clone()));
            assert_eq!(key.kind(), kind);
            let mut typo = key.reveal().to_owned().into_bytes();
            let last = typo.len() - 10;
            typo[last] = if typo[last] == b'a' { b'b' } else { b'a' };
            assert_eq!(String::from_utf8(typo).unwrap().parse::<KeyText>(), Err(BadKey));
        }
    }

    #[test]
    fn a_digest_belongs_to_one_key_and_one_pepper() {
        let key = KeyText::new(KeyKind::Project, &[3; KEY_RANDOM_BYTES]);
        let other = KeyText::new(KeyKind::Project, &[4; KEY_RANDOM_BYTES]);
        let digest = key.digest(b"pepper");
        assert_eq!(key.clone().digest(b"pepper"), digest);
        assert_ne!(key.digest(b"salt"), digest);
        assert_ne!(other.digest(b"pepper"), digest);
    }

    #[test]
    fn writing_includes_reading() {
        assert!(Scope::VideosWrite.covers(Scope::VideosRead));
        assert!(!Scope::VideosRead.covers(Scope::VideosWrite));
        assert!(Scope::All.covers(Scope::TokensMint));
    }
}
