//! `/v1/tokens`: rights of a key lent to a browser or an app for minutes, and the keys by which tokens are checked.

use std::collections::BTreeSet;
use std::time::Duration;

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpRequest, HttpResponse, get, post, web};

use crate::api::auth::{Caller, MintTokens};
use crate::api::body::{self, Accepts, Fields, Limits};
use crate::api::dto::{JsonWebKeys, TokenBody, TokenObject};
use crate::api::errors::{ApiError, ErrorCode};
use crate::api::state::Api;
use crate::domain::audit::AuditKind;
use crate::domain::id::VideoId;
use crate::domain::key::{KeyRecord, ProjectScope, Scope};
use crate::jobs::{Audience, Deed, LONGEST_LIFE, Rights, TokenTerms};
use crate::store::together;

/// Seconds that a token may live, and how long it does unless asked otherwise: a page that is left open.
const LIFE: std::ops::RangeInclusive<i64> = 60..=LONGEST_LIFE.as_secs() as i64;
const DEFAULT_LIFE: i64 = 600;

/// The longest name of a token's user, in characters.
const MAX_SUBJECT: usize = 128;

/// Videos that a token may name: it travels with every request.
const MAX_VIDEOS: usize = 100;

/// How long others may keep the public keys: a key is published long before what it signed is the only kind there is.
const KEYS_MAX_AGE: &str = "public, max-age=300";

/// Make a token
///
/// Needs a whole key: a token makes no token. It dies with its key.
#[utoipa::path(operation_id = "createToken", tag = "Tokens", request_body(content = TokenBody, content_type = "application/json", example = json!({"scopes": ["videos.read"], "expires_in_seconds": 600})), responses((status = 200, description = "The token.", body = TokenObject)))]
#[post("/v1/tokens")]
pub(crate) async fn create_token(
    caller: Caller<MintTokens>,
    request: HttpRequest,
    payload: web::Payload,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let Some(key) = caller.whole_key() else {
        return Err(ApiError::new(ErrorCode::InsufficientScope, "a token makes no token: use a key"));
    };
    let mut fields = body::read(&request, payload, Accepts::Json, Limits::PLAIN).await?;
    let scopes = take_scopes(&mut fields, key)?;
    let life = fields.integer("expires_in_seconds")?.unwrap_or(DEFAULT_LIFE);
    if !LIFE.contains(&life) {
        let message = format!("`expires_in_seconds` must be {} to {}", LIFE.start(), LIFE.end());
        return Err(ApiError::invalid_value("expires_in_seconds", message));
    }
    let videos = take_videos(&mut fields)?;
    let max_active_jobs = take_limits(&mut fields)?;
    let user = fields.text("subject")?;
    if user.as_ref().is_some_and(|user| user.chars().count() > MAX_SUBJECT) {
        let message = format!("`subject` has at most {MAX_SUBJECT} characters");
        return Err(ApiError::new(ErrorCode::StringAboveMaxLength, message).about("subject"));
    }
    fields.finish()?;
    let rights = Rights { scopes: scopes.clone(), videos, max_active_jobs, user };
    let life = Duration::from_secs(life.unsigned_abs());
    let terms = TokenTerms { audience: Audience::Videos, life, rights };
    let ProjectScope { organization, project } = caller.scope();
    let deed = Deed {
        organization: Some(organization),
        project: Some(project),
        kind: AuditKind::TokenCreated,
        actor: caller.actor(),
        subject: key.id.to_string(),
        detail: terms.rights.user.clone(),
    };
    let minted = together(&*api.store, async {
        let minted = api.tokens.mint(key, terms).await?;
        api.audit.note(deed).await?;
        Ok::<_, ApiError>(minted)
    })
    .await?;
    Ok(HttpResponse::Ok().json(TokenObject::new(minted, &scopes)))
}

/// Read the public keys
#[utoipa::path(operation_id = "getSigningKeys", tag = "Tokens", security(()), responses((status = 200, description = "The keys that sign tokens now, and those that did lately.", body = JsonWebKeys, headers(("cache-control" = String, description = "Minutes.")))))]
#[get("/.well-known/jwks.json")]
pub(crate) async fn get_signing_keys(api: web::Data<Api>) -> Result<HttpResponse, ApiError> {
    let keys = api.tokens.published().await?;
    let mut response = HttpResponse::Ok();
    response.insert_header((CACHE_CONTROL, KEYS_MAX_AGE));
    Ok(response.json(JsonWebKeys::new(&keys)))
}

/// Some of the key's own; `all` is all that the key has, without the making of tokens.
fn take_scopes(fields: &mut Fields, key: &KeyRecord) -> Result<Vec<Scope>, ApiError> {
    let names = fields.list("scopes")?.ok_or_else(|| {
        ApiError::new(ErrorCode::MissingRequiredParameter, "`scopes` is required").about("scopes")
    })?;
    let lent: Vec<Scope> = Scope::PROJECT.into_iter().filter(|scope| *scope != Scope::TokensMint).collect();
    let held = |scope: &Scope| key.scopes.iter().any(|own| own.covers(*scope));
    let mut scopes = BTreeSet::new();
    for name in &names {
        match Scope::parse(name) {
            Some(Scope::All) => scopes.extend(lent.iter().copied().filter(held)),
            Some(scope) if lent.contains(&scope) && held(&scope) => {
                scopes.insert(scope);
            }
            Some(_) | None => {
                let message = format!("the key cannot lend the scope `{name}`");
                return Err(ApiError::invalid_value("scopes", message));
            }
        }
    }
    if scopes.is_empty() {
        return Err(ApiError::invalid_value("scopes", "`scopes` names at least one scope"));
    }
    Ok(scopes.into_iter().collect())
}

fn take_videos(fields: &mut Fields) -> Result<Option<BTreeSet<VideoId>>, ApiError> {
    let Some(names) = fields.list("videos")? else { return Ok(None) };
    if names.len() > MAX_VIDEOS {
        return Err(ApiError::invalid_value("videos", format!("`videos` has at most {MAX_VIDEOS} ids")));
    }
    let parsed = names.iter().map(|name| name.parse());
    let ids = parsed.collect::<Result<_, _>>();
    ids.map(Some).map_err(|_| ApiError::invalid_value("videos", "`videos` holds ids of videos"))
}

fn take_limits(fields: &mut Fields) -> Result<Option<u32>, ApiError> {
    let Some(mut limits) = fields.object("limits")? else { return Ok(None) };
    let within = |bad| body::inside("limits", bad);
    let most = limits.integer("max_active_jobs").map_err(within)?;
    limits.finish().map_err(within)?;
    let most = most.map(|most| u32::try_from(most).ok().filter(|most| *most > 0).ok_or(()));
    most.transpose().map_err(|()| {
        ApiError::invalid_value("limits.max_active_jobs", "`limits.max_active_jobs` must be at least 1")
    })
}
