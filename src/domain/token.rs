//! Tokens: what is kept of the keys that sign them. The private halves are derived where they are used and are in no record.

use serde::{Deserialize, Serialize};

use super::clock::UnixMillis;
use super::id::SigningKeyId;

/// The one algorithm of a key. A token that names another in its header is not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenAlgorithm {
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

/// A key that signs tokens, or did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKey {
    /// What tokens call it (`kid`).
    pub id: SigningKeyId,
    pub algorithm: TokenAlgorithm,
    pub created_at: UnixMillis,
    /// It signs nothing any more, and after this moment it vouches for nothing.
    pub retires_at: Option<UnixMillis>,
}

impl SigningKey {
    /// Whether what it signed is still believed.
    pub fn vouches(&self, now: UnixMillis) -> bool {
        self.retires_at.is_none_or(|end| now < end)
    }
}
