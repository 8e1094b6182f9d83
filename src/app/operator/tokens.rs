//! `/admin/v1/tokens` and `/admin/v1/signing_keys/rotate`.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, post, web};

use super::dto::{OperatorTokenBody, OperatorTokenObject, SigningKeyObject};
use super::note;
use crate::api::Api;
use crate::api::parts::{Accepts, ApiError, ErrorCode, Limits, Operator, read};
use crate::domain::audit::AuditKind;
use crate::domain::key::Scope;
use crate::jobs::{Audience, Rights, TokenTerms};
use crate::store::together;

/// Seconds that a token of an operator may live: it opens everything.
const LIFE: std::ops::RangeInclusive<i64> = 60..=900;

/// Make a token
///
/// Needs a whole key: a token makes no token. It dies with its key.
#[utoipa::path(operation_id = "createOperatorToken", tag = "Tokens", request_body(content = OperatorTokenBody, content_type = "application/json", example = json!({"expires_in_seconds": 600})), responses((status = 200, description = "The token.", body = OperatorTokenObject)))]
#[post("/admin/v1/tokens")]
pub(super) async fn mint(
    operator: Operator,
    request: HttpRequest,
    payload: web::Payload,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let Some(key) = operator.whole_key() else {
        return Err(ApiError::new(ErrorCode::InsufficientScope, "a token makes no token: use a key"));
    };
    let mut fields = read(&request, payload, Accepts::Json, Limits::PLAIN).await?;
    let life = fields.integer("expires_in_seconds")?.unwrap_or(*LIFE.end());
    if !LIFE.contains(&life) {
        let message = format!("`expires_in_seconds` must be {} to {}", LIFE.start(), LIFE.end());
        return Err(ApiError::invalid_value("expires_in_seconds", message));
    }
    fields.finish()?;
    let rights = Rights { scopes: vec![Scope::All], ..Rights::default() };
    let life = Duration::from_secs(life.unsigned_abs());
    let terms = TokenTerms { audience: Audience::Operator, life, rights };
    let minted = together(&*api.store, async {
        let minted = api.tokens.mint(key, terms).await?;
        note(&api, &operator, None, AuditKind::TokenCreated, key.id, None).await?;
        Ok::<_, ApiError>(minted)
    })
    .await?;
    Ok(HttpResponse::Ok().json(OperatorTokenObject::new(minted)))
}

/// Sign with a new key
///
/// What the old key signed is believed until it expires. Rotating twice ends every token at once.
#[utoipa::path(operation_id = "rotateSigningKey", tag = "Tokens", responses((status = 200, description = "The key that signs from now on.", body = SigningKeyObject)))]
#[post("/admin/v1/signing_keys/rotate")]
pub(super) async fn rotate(operator: Operator, api: web::Data<Api>) -> Result<HttpResponse, ApiError> {
    let key = together(&*api.store, async {
        let key = api.tokens.rotate().await?;
        note(&api, &operator, None, AuditKind::SigningKeyRotated, key.id, None).await?;
        Ok::<_, ApiError>(key)
    })
    .await?;
    Ok(HttpResponse::Ok().json(SigningKeyObject::new(&key)))
}
