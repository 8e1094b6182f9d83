//! Who calls and what they may do. A [`Caller`] cannot be made anywhere else: whoever holds one has the permission it names.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::header::AUTHORIZATION;
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};

use super::errors::{ApiError, ErrorCode};
use super::ratelimit::{ActiveJobs, RouteClass, too_many};
use super::state::Api;
use crate::domain::id::{KeyId, OrganizationId};
use crate::domain::key::{KeyOwner, KeyRecord, KeyText, ProjectScope, Scope};
use crate::jobs::KeyRefusal;

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
    /// What every key of a project may do.
    AnyKey = None;
    /// See the projects and keys of the organization.
    ReadOrganization = Some(Scope::OrganizationRead);
    /// Change them.
    WriteOrganization = Some(Scope::OrganizationWrite);
}

/// Somebody with a valid key of a project and the permission `P`.
#[derive(Debug)]
pub(crate) struct Caller<P> {
    scope: ProjectScope,
    key: KeyId,
    permission: PhantomData<P>,
}

/// Somebody with a valid key of an organization and the permission `P`.
#[derive(Debug)]
pub(crate) struct Admin<P> {
    organization: OrganizationId,
    permission: PhantomData<P>,
}

/// The project of an authenticated request, for the answer's headers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Authenticated(pub(crate) ProjectScope);

impl<P> Caller<P> {
    /// The project that the key belongs to; every query is filtered by it.
    pub(crate) fn scope(&self) -> ProjectScope {
        self.scope
    }

    pub(crate) fn key(&self) -> KeyId {
        self.key
    }
}

impl<P> Admin<P> {
    /// The organization that the key belongs to; nothing else is to be seen.
    pub(crate) fn organization(&self) -> OrganizationId {
        self.organization
    }
}

impl<P: Permission> FromRequest for Admin<P> {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let api = request.app_data::<web::Data<Api>>().cloned();
            let api = api.ok_or_else(|| ApiError::internal(&"the server's state is missing"))?;
            let checked = govern::<P>(&api, &request).await;
            count_refusal(&api, &checked);
            checked
        })
    }
}

impl<P: Permission> FromRequest for Caller<P> {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let api = request.app_data::<web::Data<Api>>().cloned();
            let api = api.ok_or_else(|| ApiError::internal(&"the server's state is missing"))?;
            let checked = enter::<P>(&api, &request).await;
            count_refusal(&api, &checked);
            checked
        })
    }
}

/// Who it is, whether they may ask so often, and whether they may ask for this.
async fn enter<P: Permission>(api: &Api, request: &HttpRequest) -> Result<Caller<P>, ApiError> {
    let record = authenticate(api, request).await?;
    let scope = tenant(request, &record)?;
    let class = RouteClass::of(request);
    let mut standing = api.rates.take(class, scope.project);
    if let Some(limit) = api.rates.limits().active_jobs {
        let active = api.jobs.active(scope).await?;
        standing.jobs = Some(ActiveJobs { limit: limit.get(), active });
    }
    request.extensions_mut().insert(standing);
    if let Some(wait) = standing.wait {
        api.metrics
            .rate_limited_total
            .increment([api.metrics.project(&scope.project.to_string()), "requests"]);
        return Err(too_many("the project asks too often", wait));
    }
    permit(&record, scope)
}

/// The same for an administrator.
async fn govern<P: Permission>(api: &Api, request: &HttpRequest) -> Result<Admin<P>, ApiError> {
    let record = authenticate(api, request).await?;
    let KeyOwner::Admin { organization } = record.owner else {
        return Err(ApiError::new(ErrorCode::InsufficientScope, "this route needs an admin key"));
    };
    check_scope::<P>(&record)?;
    Ok(Admin { organization, permission: PhantomData })
}

fn count_refusal<T>(api: &Api, checked: &Result<T, ApiError>) {
    if let Err(error) = checked
        && error.is_about_credentials()
    {
        api.metrics.auth_failures_total.increment([error.code()]);
    }
}

/// Finds the record of the key that came with the request.
async fn authenticate(api: &Api, request: &HttpRequest) -> Result<KeyRecord, ApiError> {
    let text = bearer(request)?;
    let refusal = match api.keys.check(&text).await? {
        Ok(record) => return Ok(record),
        Err(refusal) => refusal,
    };
    api.rates.wrong_key(request)?;
    Err(match refusal {
        KeyRefusal::Unknown => invalid_key(&format!("the key {} is not valid", text.redacted())),
        KeyRefusal::Expired => ApiError::new(ErrorCode::ExpiredApiKey, "the key has expired"),
    })
}

fn bearer(request: &HttpRequest) -> Result<KeyText, ApiError> {
    let Some(header) = request.headers().get(AUTHORIZATION) else {
        return Err(invalid_key("no key: send `Authorization: Bearer vk_…`"));
    };
    let token = header.to_str().ok().and_then(|text| {
        let (scheme, token) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let key = token.and_then(|token| token.parse().ok());
    key.ok_or_else(|| invalid_key("the authorization header holds no well-formed key"))
}

/// The project that the key acts for, which must be the one that the headers name.
fn tenant(request: &HttpRequest, record: &KeyRecord) -> Result<ProjectScope, ApiError> {
    let KeyOwner::Project { scope, .. } = record.owner else {
        return Err(ApiError::new(ErrorCode::InsufficientScope, "this route needs the key of a project"));
    };
    check_header(request, "openai-organization", &scope.organization.to_string()).map_err(|()| {
        let message =
            "the key belongs to another organization than OpenAI-Organization says; unset OPENAI_ORG_ID";
        ApiError::new(ErrorCode::MismatchedOrganization, message)
    })?;
    check_header(request, "openai-project", &scope.project.to_string()).map_err(|()| {
        let message = "the key belongs to another project than OpenAI-Project says; unset OPENAI_PROJECT_ID";
        ApiError::new(ErrorCode::MismatchedProject, message)
    })?;
    request.extensions_mut().insert(Authenticated(scope));
    Ok(scope)
}

/// Checks what the key opens.
fn permit<P: Permission>(record: &KeyRecord, scope: ProjectScope) -> Result<Caller<P>, ApiError> {
    check_scope::<P>(record)?;
    Ok(Caller { scope, key: record.id, permission: PhantomData })
}

fn check_scope<P: Permission>(record: &KeyRecord) -> Result<(), ApiError> {
    match P::SCOPE {
        Some(needed) if !record.scopes.iter().any(|held| held.covers(needed)) => {
            let message = format!("the key lacks the scope `{}`", needed.as_str());
            Err(ApiError::new(ErrorCode::InsufficientScope, message))
        }
        Some(_) | None => Ok(()),
    }
}

fn check_header(request: &HttpRequest, name: &str, expected: &str) -> Result<(), ()> {
    match request.headers().get(name) {
        Some(value) if value.as_bytes() != expected.as_bytes() => Err(()),
        Some(_) | None => Ok(()),
    }
}

fn invalid_key(message: &str) -> ApiError {
    ApiError::new(ErrorCode::InvalidApiKey, message)
}
