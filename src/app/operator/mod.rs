//! The operator's API, on its own listener, for operator keys and tokens of them only: organisations, workers, the queue,
//! signing keys. Its answers look like those of the main API, and it has a document of its own.

mod dto;
mod organizations;
mod tokens;
mod workers;

use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::middleware::from_fn;
use actix_web::{App, Error, web};
use utoipa::openapi::OpenApi;
use utoipa_actix_web::{AppExt, UtoipaApp};

use super::supervisor::Supervisor;
use crate::api::Api;
use crate::api::parts::{
    ApiError, ErrorCode, KnownPaths, Operator, complete_operators, fallback, finish, openapi_json,
};
use crate::domain::audit::AuditKind;
use crate::domain::id::OrganizationId;
use crate::jobs::Deed;
use crate::scheduler::Scheduler;
use crate::store::together;

/// What the routes about workers work with; the others need only the [`Api`].
pub(super) struct Pool {
    pub(super) scheduler: Scheduler,
    pub(super) supervisor: Arc<Supervisor>,
}

/// The application of the operator's listener.
pub(super) fn app(
    api: web::Data<Api>,
    pool: web::Data<Pool>,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = Error,
        InitError = (),
    >,
> {
    let (app, document) = routes(App::new()).split_for_parts();
    let document = complete_operators(document);
    app.app_data(api)
        .app_data(pool)
        .app_data(web::Data::new(KnownPaths::of(&document)))
        .app_data(web::Data::new(document))
        .default_service(web::to(fallback))
        .wrap(from_fn(finish))
}

/// The OpenAPI document of the operator's listener.
pub fn operator_openapi() -> OpenApi {
    complete_operators(routes(App::new()).split_for_parts().1)
}

fn routes<T>(app: App<T>) -> UtoipaApp<T>
where
    T: ServiceFactory<ServiceRequest, Config = (), Error = Error, InitError = ()>,
{
    app.into_utoipa_app()
        .service(organizations::create)
        .service(organizations::list)
        .service(organizations::get)
        .service(organizations::update)
        .service(workers::list)
        .service(workers::get)
        .service(workers::restart)
        .service(workers::drain)
        .service(workers::resume)
        .service(workers::load)
        .service(workers::unload)
        .service(workers::queue)
        .service(tokens::mint)
        .service(tokens::rotate)
        .service(openapi_json)
}

/// Writes down what the operator does, in one transaction with it where it is a change of the store.
async fn note(
    api: &Api,
    operator: &Operator,
    organization: Option<OrganizationId>,
    kind: AuditKind,
    subject: impl ToString,
    detail: Option<String>,
) -> Result<(), ApiError> {
    let (actor, subject) = (operator.actor(), subject.to_string());
    let deed = Deed { organization, project: None, kind, actor, subject, detail };
    Ok(together(&*api.store, api.audit.note(deed)).await?)
}

fn missing(what: &str) -> ApiError {
    ApiError::new(ErrorCode::ResourceNotFound, format!("no such {what}"))
}
