//! Who calls and what they may do. A [`Caller`] cannot be made anywhere else: whoever holds one has the permission it names.

use std::collections::BTreeSet;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};

use super::credentials::{Identity, identify};
use super::errors::{ApiError, ErrorCode};
use super::ratelimit::{Account, RouteClass, Standing, too_many};
use super::state::Api;
use crate::domain::audit::Actor;
use crate::domain::id::{KeyId, OrganizationId, ProjectId, VideoId};
use crate::domain::key::{KeyOwner, KeyRecord, ProjectScope, Scope};
use crate::domain::model::ModelId;
use crate::jobs::{Audience, Closed, Tenant};
use crate::metrics::Metrics;

/// A scope as a type.
pub(crate) trait Permission: 'static {
    /// What the key must cover; `None`: any key of a project will do.
    const SCOPE: Option<Scope>;
}

macro_rules! permissions {
    ($($(#[doc = $doc:literal])* $name:ident = $scope:expr;)+) => {$(
        $(#[doc = $doc])*
        #[derive(Debug)]
        pub(crate) struct $name;

        impl Permission for $name {
            const SCOPE: Option<Scope> = $scope;
        }
    )+};
}

permissions! {
    /// Read videos and their files.
    ReadVideos = Some(Scope::VideosRead);
    /// Make and cancel videos.
    WriteVideos = Some(Scope::VideosWrite);
    /// Delete videos.
    DeleteVideos = Some(Scope::VideosDelete);
    /// Read uploaded files.
    ReadFiles = Some(Scope::FilesRead);
    /// Upload and delete files.
    WriteFiles = Some(Scope::FilesWrite);
    /// See webhook endpoints and deliveries.
    ReadWebhooks = Some(Scope::WebhooksRead);
    /// Change webhook endpoints and repeat deliveries.
    WriteWebhooks = Some(Scope::WebhooksWrite);
    /// See the models.
    ReadModels = Some(Scope::ModelsRead);
    /// See what was booked.
    ReadUsage = Some(Scope::UsageRead);
    /// Lend rights to others for a while.
    MintTokens = Some(Scope::TokensMint);
    /// What every key of a project may do.
    AnyKey = None;
    /// See the projects and keys of the organization.
    ReadOrganization = Some(Scope::OrganizationRead);
    /// Change them.
    WriteOrganization = Some(Scope::OrganizationWrite);
}

/// Somebody with a valid key or token of a project and the permission `P`.
#[derive(Debug)]
pub(crate) struct Caller<P> {
    scope: ProjectScope,
    identity: Identity,
    tenant: Arc<Tenant>,
    permission: PhantomData<P>,
}

/// Somebody with a valid key of an organization and the permission `P`.
#[derive(Debug)]
pub(crate) struct Admin<P> {
    organization: OrganizationId,
    key: KeyId,
    permission: PhantomData<P>,
}

/// Somebody with a key of the installation, or a token of one.
#[derive(Debug)]
pub(crate) struct Operator {
    identity: Identity,
}

/// Whose request it is, for the answer's headers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Authenticated {
    pub(crate) organization: OrganizationId,
    /// `None` for an administrator.
    pub(crate) project: Option<ProjectId>,
}

impl<P> Caller<P> {
    /// The project that the key belongs to; every query is filtered by it.
    pub(crate) fn scope(&self) -> ProjectScope {
        self.scope
    }

    pub(crate) fn key(&self) -> KeyId {
        self.identity.key.id
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The key itself; `None` if a token stands for it.
    pub(crate) fn whole_key(&self) -> Option<&KeyRecord> {
        (!self.identity.by_token).then_some(&self.identity.key)
    }

    /// The only videos that the caller may see; `None` is all of the project.
    pub(crate) fn videos(&self) -> Option<&BTreeSet<VideoId>> {
        self.identity.rights.videos.as_ref()
    }

    /// A limit of active jobs below that of the project.
    pub(crate) fn max_active_jobs(&self) -> Option<u32> {
        self.identity.rights.max_active_jobs
    }

    /// The project as it stands.
    pub(crate) fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    pub(crate) fn actor(&self) -> Actor {
        Actor::Key(self.key())
    }
}

impl<P> Admin<P> {
    /// The organization that the key belongs to; nothing else is to be seen.
    pub(crate) fn organization(&self) -> OrganizationId {
        self.organization
    }

    pub(crate) fn actor(&self) -> Actor {
        Actor::Key(self.key)
    }
}

impl Operator {
    /// The key itself; `None` if a token stands for it.
    pub(crate) fn whole_key(&self) -> Option<&KeyRecord> {
        (!self.identity.by_token).then_some(&self.identity.key)
    }

    pub(crate) fn actor(&self) -> Actor {
        Actor::Operator(self.identity.key.id)
    }
}

/// An extractor's future.
type Entering<T> = Pin<Box<dyn Future<Output = Result<T, ApiError>>>>;

impl<P: Permission> FromRequest for Admin<P> {
    type Error = ApiError;
    type Future = Entering<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { checked(&request, govern::<P>).await })
    }
}

impl<P: Permission> FromRequest for Caller<P> {
    type Error = ApiError;
    type Future = Entering<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { checked(&request, enter::<P>).await })
    }
}

impl FromRequest for Operator {
    type Error = ApiError;
    type Future = Entering<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { checked(&request, operate).await })
    }
}

/// Shows every reason for a refusal before the first.
pub(super) fn show_failures(metrics: &Metrics) {
    for code in ErrorCode::ALL.iter().filter(|code| ApiError::new(**code, "").is_about_credentials()) {
        metrics.auth_failures_total.show([code.as_str()]);
    }
}

/// Runs a check with the state of the request, and counts a refusal.
async fn checked<T>(
    request: &HttpRequest,
    check: impl AsyncFnOnce(&Api, &HttpRequest) -> Result<T, ApiError>,
) -> Result<T, ApiError> {
    let api = request.app_data::<web::Data<Api>>().cloned();
    let api = api.ok_or_else(|| ApiError::internal(&"the server's state is missing"))?;
    let checked = check(&api, request).await;
    if let Err(error) = &checked
        && error.is_about_credentials()
    {
        api.metrics.auth_failures_total.increment([error.code()]);
    }
    checked
}

/// Who it is, whether they may ask so often, and whether they may ask for this.
async fn enter<P: Permission>(api: &Api, request: &HttpRequest) -> Result<Caller<P>, ApiError> {
    let identity = identify(api, request, Audience::Videos).await?;
    let KeyOwner::Project { scope, .. } = identity.key.owner else {
        return Err(ApiError::new(ErrorCode::InsufficientScope, "this route needs the key of a project"));
    };
    let tenant = charge_project(api, request, &identity, scope).await?;
    permit::<P>(&identity)?;
    let caller = Caller { scope, identity, tenant, permission: PhantomData };
    match (caller.videos(), request.match_info().get("video_id")) {
        (Some(seen), Some(id)) if !id.parse().is_ok_and(|id| seen.contains(&id)) => {
            Err(ApiError::video_not_found())
        }
        _ => Ok(caller),
    }
}

/// The same for an administrator.
async fn govern<P: Permission>(api: &Api, request: &HttpRequest) -> Result<Admin<P>, ApiError> {
    let identity = identify(api, request, Audience::Videos).await?;
    let KeyOwner::Admin { organization } = identity.key.owner else {
        return Err(ApiError::new(ErrorCode::InsufficientScope, "this route needs an admin key"));
    };
    charge_organization(api, request, organization).await?;
    permit::<P>(&identity)?;
    Ok(Admin { organization, key: identity.key.id, permission: PhantomData })
}

/// Whether it is an operator.
async fn operate(api: &Api, request: &HttpRequest) -> Result<Operator, ApiError> {
    let identity = identify(api, request, Audience::Operator).await?;
    match identity.key.owner {
        KeyOwner::Operator => Ok(Operator { identity }),
        KeyOwner::Project { .. } | KeyOwner::Admin { .. } => {
            Err(ApiError::new(ErrorCode::InsufficientScope, "this route needs an operator key"))
        }
    }
}

/// Who it is, if they may ask so often, before it is known what for: whoever takes the request afterwards asks that, and
/// does not count it again.
pub(crate) async fn charge(request: &HttpRequest) -> Result<Identity, ApiError> {
    checked(request, charge_unasked).await
}

async fn charge_unasked(api: &Api, request: &HttpRequest) -> Result<Identity, ApiError> {
    let identity = identify(api, request, Audience::Videos).await?;
    match identity.key.owner {
        KeyOwner::Project { scope, .. } => {
            charge_project(api, request, &identity, scope).await?;
        }
        KeyOwner::Admin { organization } => charge_organization(api, request, organization).await?,
        KeyOwner::Operator => {}
    }
    Ok(identity)
}

async fn charge_project(
    api: &Api,
    request: &HttpRequest,
    identity: &Identity,
    scope: ProjectScope,
) -> Result<Arc<Tenant>, ApiError> {
    same_tenant(request, scope.organization, Some(scope.project))?;
    let tenant = api.tenants.get(scope).await?;
    if let Some(closed) = tenant.closed {
        return Err(closed_error(closed));
    }
    let take = || api.rates.take(RouteClass::of(request), scope.project, &tenant.allowance);
    let standing = counted(request).unwrap_or_else(take);
    let most_active = identity.rights.max_active_jobs;
    request.extensions_mut().insert(Account { scope, tenant: tenant.clone(), most_active });
    stand(api, request, standing, scope.project)?;
    Ok(tenant)
}

/// Counts a create against the limits of its model too; of them and those of the project the stricter is told.
pub(crate) fn charge_model(
    api: &Api,
    request: &HttpRequest,
    caller: &Caller<WriteVideos>,
    model: &ModelId,
) -> Result<(), ApiError> {
    let (project, tenant) = (caller.scope.project, caller.tenant());
    let Some(allowance) = tenant.models.get(model) else { return Ok(()) };
    let before = counted(request).unwrap_or_default();
    let requests = before.requests.or_stricter(api.rates.take_of_model(project, model, allowance));
    stand(api, request, Standing { requests, ..before }, project)
}

async fn charge_organization(
    api: &Api,
    request: &HttpRequest,
    organization: OrganizationId,
) -> Result<(), ApiError> {
    same_tenant(request, organization, None)?;
    let record = api.store.organization(organization).await?;
    if record.is_some_and(|record| record.suspended_at.is_some()) {
        return Err(closed_error(Closed::Suspended));
    }
    let standing = counted(request).unwrap_or_else(|| api.rates.take_admin(organization));
    stand(api, request, standing, organization)
}

/// How the owner stands, if the request was counted before: each is counted once.
fn counted(request: &HttpRequest) -> Option<Standing> {
    request.extensions().get().copied()
}

/// Notes how the owner stands; refuses if there are too many requests.
fn stand(
    api: &Api,
    request: &HttpRequest,
    standing: Standing,
    owner: impl std::fmt::Display,
) -> Result<(), ApiError> {
    request.extensions_mut().insert(standing);
    let Some(wait) = standing.requests.wait else { return Ok(()) };
    api.metrics.rate_limited_total.increment([api.metrics.project(&owner.to_string()), "requests"]);
    Err(too_many("too many requests", wait))
}

/// The headers of the SDKs must name the key's own tenant.
fn same_tenant(
    request: &HttpRequest,
    organization: OrganizationId,
    project: Option<ProjectId>,
) -> Result<(), ApiError> {
    check_header(request, "openai-organization", &organization.to_string()).map_err(|()| {
        let message =
            "the key belongs to another organization than OpenAI-Organization says; unset OPENAI_ORG_ID";
        ApiError::new(ErrorCode::MismatchedOrganization, message)
    })?;
    if let Some(project) = project {
        check_header(request, "openai-project", &project.to_string()).map_err(|()| {
            let message =
                "the key belongs to another project than OpenAI-Project says; unset OPENAI_PROJECT_ID";
            ApiError::new(ErrorCode::MismatchedProject, message)
        })?;
    }
    request.extensions_mut().insert(Authenticated { organization, project });
    Ok(())
}

fn check_header(request: &HttpRequest, name: &str, expected: &str) -> Result<(), ()> {
    match request.headers().get(name) {
        Some(value) if value.as_bytes() != expected.as_bytes() => Err(()),
        Some(_) | None => Ok(()),
    }
}

/// Checks what the key opens.
fn permit<P: Permission>(identity: &Identity) -> Result<(), ApiError> {
    match P::SCOPE {
        Some(needed) if !identity.rights.scopes.iter().any(|held| held.covers(needed)) => {
            let message = format!("the key lacks the scope `{}`", needed.as_str());
            Err(ApiError::new(ErrorCode::InsufficientScope, message))
        }
        Some(_) | None => Ok(()),
    }
}

fn closed_error(closed: Closed) -> ApiError {
    match closed {
        Closed::Archived => ApiError::new(ErrorCode::ProjectArchived, "the project is archived"),
        Closed::Suspended => ApiError::new(ErrorCode::OrganizationSuspended, "the organization is suspended"),
    }
}
