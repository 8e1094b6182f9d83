//! `/admin/v1/organizations…`: made, listed, renamed, limited, suspended.

use std::num::NonZeroU32;

use actix_web::{HttpRequest, HttpResponse, get, post, web};

use super::dto::{NewOrganizationObject, OrganizationBody, OrganizationList, OrganizationObject};
use super::{missing, note};
use crate::api::Api;
use crate::api::parts::{
    Accepts, ApiError, ErrorCode, Fields, Limits, ListObject, Operator, Page, Query, inside, nothing_goes,
    read,
};
use crate::domain::audit::AuditKind;
use crate::domain::id::OrganizationId;
use crate::domain::key::{KeyOwner, Scope};
use crate::domain::limits::OrganizationLimits;
use crate::domain::tenant::{MAX_NAME, Organization, is_good_name};
use crate::jobs::KeyTerms;
use crate::store::together;

/// Make an organization
///
/// The answer holds the first key of its administrators, shown this once.
#[utoipa::path(operation_id = "createOrganization", tag = "Organizations", request_body(content = OrganizationBody, content_type = "application/json", example = json!({"name": "acme"})), responses((status = 200, description = "The organization and its first admin key.", body = NewOrganizationObject)))]
#[post("/admin/v1/organizations")]
pub(super) async fn create(
    operator: Operator,
    request: HttpRequest,
    payload: web::Payload,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let wish = Wish::of(&request, payload).await?;
    if wish.name.is_none() {
        return Err(ApiError::new(ErrorCode::MissingRequiredParameter, "`name` is required").about("name"));
    }
    let now = api.clock.now();
    let fresh = Organization {
        id: OrganizationId::new(now.0, api.random.id_bytes()),
        name: String::new(),
        created_at: now,
        suspended_at: None,
        limits: OrganizationLimits::default(),
    };
    let organization = wish.grant(fresh, &api);
    let owner = KeyOwner::Admin { organization: organization.id };
    let terms = KeyTerms { name: "first".to_owned(), owner, scopes: vec![Scope::All], expires_at: None };
    let (record, text) = together(&*api.store, async {
        save(&api, &operator, &organization, AuditKind::OrganizationCreated).await?;
        let (record, text) = api.keys.create(terms).await?;
        let (kind, name) = (AuditKind::AdminApiKeyCreated, record.name.clone());
        note(&api, &operator, Some(organization.id), kind, record.id, Some(name)).await?;
        Ok::<_, ApiError>((record, text))
    })
    .await?;
    Ok(HttpResponse::Ok().json(NewOrganizationObject::new(&organization, &record, &text)))
}

/// List the organizations
#[utoipa::path(operation_id = "listOrganizations", tag = "Organizations", params(("after" = Option<String>, Query), ("limit" = Option<u32>, Query, minimum = 0, maximum = 100), ("order" = Option<String>, Query)), responses((status = 200, description = "A page.", body = OrganizationList)))]
#[get("/admin/v1/organizations")]
pub(super) async fn list(
    _operator: Operator,
    request: HttpRequest,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let page = Page::<OrganizationId>::of(&Query::of(&request)?)?;
    let (organizations, has_more) =
        page.cut(api.store.organizations().await?, |organization| organization.id, nothing_goes).await?;
    let data = organizations.iter().map(OrganizationObject::new).collect();
    Ok(HttpResponse::Ok().json(ListObject::new(data, has_more, OrganizationObject::id)))
}

/// Read an organization
#[utoipa::path(operation_id = "getOrganization", tag = "Organizations", params(("organization_id" = String, Path)), responses((status = 200, description = "The organization.", body = OrganizationObject)))]
#[get("/admin/v1/organizations/{organization_id}")]
pub(super) async fn get(
    _operator: Operator,
    id: web::Path<String>,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok().json(OrganizationObject::new(&organization(&api, &id).await?)))
}

/// Change an organization
///
/// What is absent stays. In the name of a suspended organization nothing can be done.
#[utoipa::path(operation_id = "updateOrganization", tag = "Organizations", params(("organization_id" = String, Path)), request_body(content = OrganizationBody, content_type = "application/json", example = json!({"status": "suspended"})), responses((status = 200, description = "The organization.", body = OrganizationObject)))]
#[post("/admin/v1/organizations/{organization_id}")]
pub(super) async fn update(
    operator: Operator,
    request: HttpRequest,
    id: web::Path<String>,
    payload: web::Payload,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let wish = Wish::of(&request, payload).await?;
    let organization = wish.grant(organization(&api, &id).await?, &api);
    save(&api, &operator, &organization, AuditKind::OrganizationUpdated).await?;
    api.tenants.changed();
    Ok(HttpResponse::Ok().json(OrganizationObject::new(&organization)))
}

async fn organization(api: &Api, id: &str) -> Result<Organization, ApiError> {
    let id = id.parse().map_err(|_| missing("organization"))?;
    api.store.organization(id).await?.ok_or_else(|| missing("organization"))
}

/// Saves the organisation and writes down why.
async fn save(
    api: &Api,
    operator: &Operator,
    organization: &Organization,
    why: AuditKind,
) -> Result<(), ApiError> {
    let detail = serde_json::to_string(&OrganizationObject::new(organization)).ok();
    together(&*api.store, async {
        api.store.save_organization(organization.clone()).await?;
        note(api, operator, Some(organization.id), why, organization.id, detail).await
    })
    .await
}

/// What is to be set about an organisation; what is `None` stays.
struct Wish {
    name: Option<String>,
    suspended: Option<bool>,
    /// The inner `None` is unlimited.
    day: Option<Option<NonZeroU32>>,
    month: Option<Option<NonZeroU32>>,
}

impl Wish {
    async fn of(request: &HttpRequest, payload: web::Payload) -> Result<Self, ApiError> {
        let mut fields = read(request, payload, Accepts::Json, Limits::PLAIN).await?;
        let name = fields.text("name")?;
        if name.as_deref().is_some_and(|name| !is_good_name(name)) {
            let message = format!("a name has 1 to {MAX_NAME} characters, none of them a control character");
            return Err(ApiError::invalid_value("name", message));
        }
        let suspended = match fields.text("status")?.as_deref() {
            None => None,
            Some("active") => Some(false),
            Some("suspended") => Some(true),
            Some(_) => return Err(ApiError::invalid_value("status", "`status` is active or suspended")),
        };
        let (mut day, mut month) = (None, None);
        if let Some(mut limits) = fields.object("limits")? {
            day = seconds(&mut limits, "max_gpu_seconds_per_1_day")?;
            month = seconds(&mut limits, "max_gpu_seconds_per_1_month")?;
            limits.finish().map_err(|bad| inside("limits", bad))?;
        }
        fields.finish()?;
        Ok(Self { name, suspended, day, month })
    }

    /// The organisation as it is wanted.
    fn grant(self, mut organization: Organization, api: &Api) -> Organization {
        if let Some(name) = self.name {
            organization.name = name;
        }
        match self.suspended {
            None => {}
            Some(false) => organization.suspended_at = None,
            Some(true) => {
                organization.suspended_at.get_or_insert(api.clock.now());
            }
        }
        let limits = &mut organization.limits;
        limits.gpu_seconds_per_day = self.day.unwrap_or(limits.gpu_seconds_per_day);
        limits.gpu_seconds_per_month = self.month.unwrap_or(limits.gpu_seconds_per_month);
        organization
    }
}

fn seconds(limits: &mut Fields, name: &str) -> Result<Option<Option<NonZeroU32>>, ApiError> {
    if limits.is_null(name) {
        return Ok(Some(None));
    }
    let number = limits.integer(name).map_err(|bad| inside("limits", bad))?;
    let good = |number| u32::try_from(number).ok().and_then(NonZeroU32::new);
    let refused = || {
        let message = format!("`limits.{name}` must be an integer from 1 to {}, or null", u32::MAX);
        ApiError::invalid_value(&format!("limits.{name}"), message)
    };
    number.map(|number| good(number).map(Some).ok_or_else(refused)).transpose()
}
