//! All routes put together, with what wraps every request. Opens no socket.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::middleware::from_fn;
use actix_web::{App, Error, web};
use utoipa::openapi::OpenApi;
use utoipa_actix_web::{AppExt, UtoipaApp};

use super::auth;
use super::cors::cross_origin;
use super::headers::finish;
use super::openapi::complete;
use super::replay::replay;
use super::routes::fallback::{KnownPaths, fallback};
use super::routes::{docs, files, health, limits, models, organization, tokens, usage, videos, webhooks};
use super::state::Api;

/// The application of the main listener.
pub fn app(
    state: web::Data<Api>,
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
    let document = complete(document);
    auth::show_failures(&state.metrics);
    app.app_data(state)
        .app_data(web::Data::new(KnownPaths::of(&document)))
        .app_data(web::Data::new(document))
        .service(docs::page())
        .default_service(web::to(fallback))
        .wrap(from_fn(replay))
        .wrap(from_fn(cross_origin))
        .wrap(from_fn(finish))
}

/// The OpenAPI document of the main listener.
pub fn openapi() -> OpenApi {
    complete(routes(App::new()).split_for_parts().1)
}

/// Literal segments stand before placeholders, because the first fitting route is taken.
fn routes<T>(app: App<T>) -> UtoipaApp<T>
where
    T: ServiceFactory<ServiceRequest, Config = (), Error = Error, InitError = ()>,
{
    app.into_utoipa_app()
        .service(videos::generate_video)
        .service(videos::animate_image)
        .service(videos::edit_video)
        .service(videos::extend_video)
        .service(videos::create_character)
        .service(videos::get_character)
        .service(videos::create_video)
        .service(videos::list_videos)
        .service(videos::get_video)
        .service(videos::delete_video)
        .service(videos::video_content)
        .service(videos::head_video_content)
        .service(videos::download_url)
        .service(videos::download_signed)
        .service(videos::head_download_signed)
        .service(videos::video_events)
        .service(videos::cancel_video)
        .service(videos::remix_video)
        .service(files::create_file)
        .service(files::list_files)
        .service(files::get_file)
        .service(files::file_content)
        .service(files::delete_file)
        .service(webhooks::get_callback_secret)
        .service(webhooks::rotate_callback_secret)
        .service(webhooks::create_endpoint)
        .service(webhooks::list_endpoints)
        .service(webhooks::get_endpoint)
        .service(webhooks::update_endpoint)
        .service(webhooks::delete_endpoint)
        .service(webhooks::rotate_secret)
        .service(webhooks::test_endpoint)
        .service(webhooks::list_deliveries)
        .service(webhooks::redeliver)
        .service(models::list_models)
        .service(models::get_model)
        .service(usage::get_usage)
        .service(organization::create_project)
        .service(organization::list_projects)
        .service(organization::get_project)
        .service(organization::update_project)
        .service(organization::archive_project)
        .service(organization::create_account)
        .service(organization::list_accounts)
        .service(organization::get_account)
        .service(organization::update_account)
        .service(organization::delete_account)
        .service(organization::create_key)
        .service(organization::list_keys)
        .service(organization::get_key)
        .service(organization::delete_key)
        .service(organization::rotate_key)
        .service(organization::list_rate_limits)
        .service(organization::update_rate_limit)
        .service(organization::create_admin_key)
        .service(organization::list_admin_keys)
        .service(organization::get_admin_key)
        .service(organization::delete_admin_key)
        .service(organization::get_organization_usage)
        .service(organization::list_audit)
        .service(limits::get_limits)
        .service(tokens::create_token)
        .service(tokens::get_signing_keys)
        .service(health::healthz)
        .service(health::readyz)
        .service(health::metrics_page)
        .service(docs::openapi_json)
        .service(docs::docs)
}
