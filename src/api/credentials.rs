//! Whose key or token came with a request. What they may do with it is decided in `auth`.

use std::collections::BTreeSet;
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header::AUTHORIZATION;
use sha2::{Digest, Sha256};

use super::client_address::client_address;
use super::errors::{ApiError, ErrorCode};
use super::query::Query;
use super::state::Api;
use crate::domain::key::{KeyRecord, KeyText};
use crate::jobs::{Audience, KeyRefusal, Rights, TokenRefusal};

/// What begins every key.
const KEY_PREFIX: &str = "vk_";

/// Routes that are opened by browsers' own means, which can send no header: a token may stand in their query.
const TOKEN_IN_QUERY: [&str; 2] = ["/v1/videos/{video_id}/content", "/v1/videos/{video_id}/events"];

/// A key that opens, and what it may be used for.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// The caller's, or the one that minted the token.
    pub(crate) key: Arc<KeyRecord>,
    pub(crate) rights: Rights,
    pub(crate) by_token: bool,
}

impl Identity {
    /// What sets a token apart from its key and from other tokens of it; nothing for the key itself, which says by its id
    /// what it may do. The same for every token with the same rights, since the holder of one is given a new one in time.
    pub(crate) fn lent(&self) -> Option<[u8; 32]> {
        let Rights { scopes, videos, max_active_jobs, user } = &self.rights;
        self.by_token.then(|| {
            let mut digest = Sha256::new();
            // Lengths keep the lists apart, and the name, which may be anything, stands last.
            digest.update(scopes.len().to_le_bytes());
            scopes.iter().for_each(|scope| digest.update([scope.as_str(), " "].concat()));
            digest.update(format!("{:?} ", videos.as_ref().map(BTreeSet::len)));
            videos.iter().flatten().for_each(|video| digest.update(video.to_string()));
            digest.update(format!("{max_active_jobs:?} {user:?}"));
            digest.finalize().into()
        })
    }
}

enum Credential {
    Key(KeyText),
    Token(String),
}

/// Finds who it is, for what tokens of that audience open. Wrong credentials are counted by address, and refused without a
/// word once there were too many.
pub(crate) async fn identify(
    api: &Api,
    request: &HttpRequest,
    audience: Audience,
) -> Result<Identity, ApiError> {
    let refusal = match credential(request)? {
        Credential::Key(text) => match api.keys.check(&text).await? {
            Ok(key) => {
                let rights = Rights { scopes: key.scopes.clone(), ..Rights::default() };
                return Ok(Identity { key: Arc::new(key), rights, by_token: false });
            }
            Err(KeyRefusal::Unknown) => invalid_key(&format!("the key {} is not valid", text.redacted())),
            Err(KeyRefusal::Expired) => ApiError::new(ErrorCode::ExpiredApiKey, "the key has expired"),
        },
        Credential::Token(text) => match api.tokens.check(&text, audience).await? {
            Ok((key, rights)) => return Ok(Identity { key: Arc::new(key), rights, by_token: true }),
            // It was valid: nobody guesses.
            Err(TokenRefusal::Expired) => {
                return Err(ApiError::new(ErrorCode::TokenExpired, "the token has expired"));
            }
            Err(TokenRefusal::Invalid) => ApiError::new(ErrorCode::InvalidToken, "the token is not valid"),
        },
    };
    api.rates.wrong_key(client_address(request, &api.trusted_proxies))?;
    Err(refusal)
}

fn credential(request: &HttpRequest) -> Result<Credential, ApiError> {
    let Some(header) = request.headers().get(AUTHORIZATION) else {
        return in_query(request);
    };
    let bearer = header.to_str().ok().and_then(|text| {
        let (scheme, bearer) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| bearer.trim())
    });
    let malformed = || invalid_key("the authorization header holds no well-formed key");
    let bearer = bearer.ok_or_else(malformed)?;
    if !bearer.starts_with(KEY_PREFIX) && is_token(bearer) {
        return Ok(Credential::Token(bearer.to_owned()));
    }
    bearer.parse().map(Credential::Key).map_err(|_| malformed())
}

/// Never a key: addresses are logged by proxies and kept by browsers.
fn in_query(request: &HttpRequest) -> Result<Credential, ApiError> {
    let none = || invalid_key("no key: send `Authorization: Bearer vk_…`");
    let route = request.match_pattern().unwrap_or_default();
    if !TOKEN_IN_QUERY.contains(&route.as_str()) {
        return Err(none());
    }
    let query = Query::of(request)?;
    let text = query.text("access_token").ok_or_else(none)?;
    if text.starts_with(KEY_PREFIX) || !is_token(text) {
        return Err(invalid_key("`access_token` holds a token, never a key"));
    }
    Ok(Credential::Token(text.to_owned()))
}

fn is_token(text: &str) -> bool {
    text.bytes().filter(|byte| *byte == b'.').count() == 2
}

fn invalid_key(message: &str) -> ApiError {
    ApiError::new(ErrorCode::InvalidApiKey, message)
}
