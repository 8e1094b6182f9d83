//! Tokens and the keys by which others can check them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::key::Scope;
use crate::jobs::{Minted, PublicKey};

/// A new token: the only time that it is shown.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Token)]
pub(crate) struct TokenObject {
    #[schema(value_type = String, pattern = "^token$", example = "token")]
    object: &'static str,
    /// Goes where an API key goes.
    token: String,
    /// Unix seconds.
    expires_at: u64,
    #[schema(value_type = Vec<String>)]
    scopes: Vec<&'static str>,
}

/// What a token is to allow.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the documented form of a body that `body` decodes")]
pub(crate) struct TokenBody {
    /// Of those that the key has; never `tokens.mint`.
    #[schema(example = json!(["videos.read"]), min_items = 1)]
    scopes: Vec<String>,
    #[schema(minimum = 60, maximum = 3600, default = 600)]
    expires_in_seconds: Option<i64>,
    /// The only videos that can be seen.
    #[schema(max_items = 100)]
    videos: Option<Vec<String>>,
    limits: Option<TokenLimits>,
    /// Your name for whoever gets it.
    #[schema(max_length = 128)]
    subject: Option<String>,
}

/// Limits that a token lowers.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the documented form of a body that `body` decodes")]
struct TokenLimits {
    #[schema(minimum = 1)]
    max_active_jobs: Option<u32>,
}

/// The public keys of this server (RFC 7517).
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JsonWebKeys {
    keys: Vec<JsonWebKey>,
}

/// A public key (RFC 8037).
#[derive(Debug, Serialize, ToSchema)]
struct JsonWebKey {
    #[schema(value_type = String, example = "OKP")]
    kty: &'static str,
    #[schema(value_type = String, example = "Ed25519")]
    crv: &'static str,
    #[schema(value_type = String, example = "EdDSA")]
    alg: &'static str,
    #[schema(value_type = String, example = "sig")]
    r#use: &'static str,
    kid: String,
    x: String,
}

impl TokenObject {
    pub(crate) fn new(minted: Minted, scopes: &[Scope]) -> Self {
        Self {
            object: "token",
            token: minted.text,
            expires_at: minted.expires_at.seconds(),
            scopes: scopes.iter().map(|scope| scope.as_str()).collect(),
        }
    }
}

impl JsonWebKeys {
    pub(crate) fn new(keys: &[PublicKey]) -> Self {
        let key = |key: &PublicKey| JsonWebKey {
            kty: "OKP",
            crv: "Ed25519",
            alg: "EdDSA",
            r#use: "sig",
            kid: key.id.to_string(),
            x: URL_SAFE_NO_PAD.encode(&key.bytes),
        };
        Self { keys: keys.iter().map(key).collect() }
    }
}
