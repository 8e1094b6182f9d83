//! The operator's API for tenants: organisations, tokens of operators, and the keys that sign tokens.

use std::num::NonZeroU32;
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::admin::{Admin, AdminError, Operator};
use crate::domain::audit::AuditKind;
use crate::domain::id::OrganizationId;
use crate::domain::key::{KeyOwner, Scope};
use crate::domain::limits::OrganizationLimits;
use crate::domain::tenant::Organization;
use crate::jobs::{Audience, KeyTerms, Rights, TokenTerms};
use crate::store::together;

/// The longest name, in characters.
const MAX_NAME: usize = 128;

/// Seconds that a token of an operator may live: it opens everything.
const TOKEN_LIFE: std::ops::RangeInclusive<u64> = 60..=900;

/// The routes below `/admin/v1`.
pub(super) fn configure(routes: &mut web::ServiceConfig) {
    routes
        .route("/organizations", web::get().to(list))
        .route("/organizations", web::post().to(create))
        .route("/organizations/{organization}", web::get().to(get))
        .route("/organizations/{organization}", web::post().to(update))
        .route("/tokens", web::post().to(mint))
        .route("/signing_keys/rotate", web::post().to(rotate));
}

/// What can be set about an organisation; what is absent stays.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    name: Option<String>,
    status: Option<Status>,
    #[serde(default)]
    limits: LimitWish,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Active,
    Suspended,
}

/// Absent stays, null is unlimited.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitWish {
    #[serde(default, deserialize_with = "given")]
    max_gpu_seconds_per_1_day: Option<Option<NonZeroU32>>,
    #[serde(default, deserialize_with = "given")]
    max_gpu_seconds_per_1_month: Option<Option<NonZeroU32>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenWish {
    expires_in_seconds: Option<u64>,
}

fn given<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Option<NonZeroU32>>, D::Error> {
    Option::deserialize(value).map(Some)
}

async fn list(request: HttpRequest, admin: web::Data<Admin>) -> Result<HttpResponse, AdminError> {
    admin.check(&request).await?;
    let data: Vec<Value> = admin.store.organizations().await?.iter().map(organization_json).collect();
    Ok(HttpResponse::Ok().json(json!({"object": "list", "data": data})))
}

/// The answer holds the first key of its administrators, shown this once.
async fn create(
    request: HttpRequest,
    admin: web::Data<Admin>,
    body: web::Bytes,
) -> Result<HttpResponse, AdminError> {
    let operator = admin.check(&request).await?;
    let wish: Wish = serde_json::from_slice(&body)?;
    if wish.name.is_none() {
        return Err(AdminError::Value { param: "name", message: "`name` is required".to_owned() });
    }
    let now = admin.clock.now();
    let fresh = Organization {
        id: OrganizationId::new(now.0, admin.random.id_bytes()),
        name: String::new(),
        created_at: now,
        suspended_at: None,
        limits: OrganizationLimits::default(),
    };
    let organization = admin.granted(fresh, wish)?;
    let owner = KeyOwner::Admin { organization: organization.id };
    let terms = KeyTerms { name: "first".to_owned(), owner, scopes: vec![Scope::All], expires_at: None };
    let (record, text) = together(&*admin.store, async {
        admin.save(&operator, &organization, AuditKind::OrganizationCreated).await?;
        let (record, text) = admin.keys.create(terms).await?;
        let (kind, name) = (AuditKind::AdminApiKeyCreated, record.name.clone());
        admin.note(&operator, Some(organization.id), kind, record.id, Some(name)).await?;
        Ok::<_, AdminError>((record, text))
    })
    .await?;
    let mut answer = organization_json(&organization);
    answer["admin_api_key"] = json!({"id": record.id, "value": text.reveal()});
    Ok(HttpResponse::Ok().json(answer))
}

async fn get(
    request: HttpRequest,
    admin: web::Data<Admin>,
    id: web::Path<String>,
) -> Result<HttpResponse, AdminError> {
    admin.check(&request).await?;
    Ok(HttpResponse::Ok().json(organization_json(&admin.organization(&id).await?)))
}

async fn update(
    request: HttpRequest,
    admin: web::Data<Admin>,
    id: web::Path<String>,
    body: web::Bytes,
) -> Result<HttpResponse, AdminError> {
    let operator = admin.check(&request).await?;
    let wish: Wish = serde_json::from_slice(&body)?;
    let organization = admin.granted(admin.organization(&id).await?, wish)?;
    admin.save(&operator, &organization, AuditKind::OrganizationUpdated).await?;
    admin.tenants.changed();
    Ok(HttpResponse::Ok().json(organization_json(&organization)))
}

async fn mint(
    request: HttpRequest,
    admin: web::Data<Admin>,
    body: web::Bytes,
) -> Result<HttpResponse, AdminError> {
    let operator = admin.check(&request).await?;
    if operator.by_token {
        return Err(AdminError::TokenForToken);
    }
    let wish = if body.is_empty() { TokenWish::default() } else { serde_json::from_slice(&body)? };
    let life = wish.expires_in_seconds.unwrap_or(*TOKEN_LIFE.end());
    if !TOKEN_LIFE.contains(&life) {
        let message = format!("`expires_in_seconds` must be {} to {}", TOKEN_LIFE.start(), TOKEN_LIFE.end());
        return Err(AdminError::Value { param: "expires_in_seconds", message });
    }
    let rights = Rights { scopes: vec![Scope::All], ..Rights::default() };
    let life = Duration::from_secs(life);
    let terms = TokenTerms { audience: Audience::Operator, life, rights, user: None };
    let minted = together(&*admin.store, async {
        let minted = admin.tokens.mint(&operator.key, terms).await?;
        admin.note(&operator, None, AuditKind::TokenCreated, operator.key.id, None).await?;
        Ok::<_, AdminError>(minted)
    })
    .await?;
    let expires_at = minted.expires_at.seconds();
    Ok(HttpResponse::Ok().json(json!({"object": "token", "token": minted.text, "expires_at": expires_at})))
}

async fn rotate(request: HttpRequest, admin: web::Data<Admin>) -> Result<HttpResponse, AdminError> {
    let operator = admin.check(&request).await?;
    let key = together(&*admin.store, async {
        let key = admin.tokens.rotate().await?;
        admin.note(&operator, None, AuditKind::SigningKeyRotated, key.id, None).await?;
        Ok::<_, AdminError>(key)
    })
    .await?;
    let created_at = key.created_at.seconds();
    Ok(HttpResponse::Ok().json(json!({"object": "signing_key", "id": key.id, "created_at": created_at})))
}

impl Admin {
    async fn organization(&self, id: &str) -> Result<Organization, AdminError> {
        let id = id.parse().map_err(|_| AdminError::NoOrganization)?;
        self.store.organization(id).await?.ok_or(AdminError::NoOrganization)
    }

    /// The organisation as it is wanted.
    fn granted(&self, mut organization: Organization, wish: Wish) -> Result<Organization, AdminError> {
        if let Some(name) = wish.name {
            if name.trim().is_empty() || name.chars().count() > MAX_NAME {
                let message = format!("a name has 1 to {MAX_NAME} characters");
                return Err(AdminError::Value { param: "name", message });
            }
            organization.name = name;
        }
        match wish.status {
            None => {}
            Some(Status::Active) => organization.suspended_at = None,
            Some(Status::Suspended) => {
                organization.suspended_at.get_or_insert(self.clock.now());
            }
        }
        let limits = &mut organization.limits;
        limits.gpu_seconds_per_day =
            wish.limits.max_gpu_seconds_per_1_day.unwrap_or(limits.gpu_seconds_per_day);
        limits.gpu_seconds_per_month =
            wish.limits.max_gpu_seconds_per_1_month.unwrap_or(limits.gpu_seconds_per_month);
        Ok(organization)
    }

    /// Saves the organisation and writes down why.
    async fn save(
        &self,
        operator: &Operator,
        organization: &Organization,
        why: AuditKind,
    ) -> Result<(), AdminError> {
        let detail = organization_json(organization).to_string();
        together(&*self.store, async {
            self.store.save_organization(organization.clone()).await?;
            self.note(operator, Some(organization.id), why, organization.id, Some(detail)).await
        })
        .await
    }
}

fn organization_json(organization: &Organization) -> Value {
    json!({
        "object": "organization",
        "id": organization.id,
        "name": organization.name,
        "status": if organization.suspended_at.is_some() { "suspended" } else { "active" },
        "created_at": organization.created_at.seconds(),
        "limits": {
            "max_gpu_seconds_per_1_day": organization.limits.gpu_seconds_per_day,
            "max_gpu_seconds_per_1_month": organization.limits.gpu_seconds_per_month,
        },
    })
}
