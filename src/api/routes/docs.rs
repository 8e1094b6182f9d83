//! The OpenAPI document and a page to read it. The page's files are part of the program.

use actix_web::{HttpResponse, get, web};
use utoipa::openapi::OpenApi;
use utoipa_swagger_ui::{Config, SwaggerUi};

/// The OpenAPI document
#[utoipa::path(operation_id = "getOpenApi", tag = "Documentation", security(()), responses((status = 200, description = "OpenAPI 3.1.", body = Object)))]
#[get("/openapi.json")]
pub(crate) async fn openapi_json(document: web::Data<OpenApi>) -> HttpResponse {
    std::future::ready(HttpResponse::Ok().json(document.get_ref())).await
}

/// Where people look first.
#[utoipa::path(operation_id = "getDocs", tag = "Documentation", security(()), responses((status = 302, description = "To the page.", headers(("location" = String, description = "Where the page is.")))))]
#[get("/docs")]
pub(crate) async fn docs() -> HttpResponse {
    std::future::ready(HttpResponse::Found().insert_header(("location", "/docs/")).finish()).await
}

/// The page itself.
pub(crate) fn page() -> SwaggerUi {
    SwaggerUi::new("/docs/{_:.*}").config(Config::from("/openapi.json"))
}
