//! What a server answers that stands by for another: it lives, it is not ready, and it takes nothing.

use std::time::Duration;

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpResponse, ResponseError};
use serde_json::json;

use super::errors::{ApiError, ErrorCode};
use super::routes::health;

/// It takes over within a second or two of the other's end.
const RETRY: Duration = Duration::from_secs(2);

/// The routes of such a server.
pub fn standby(routes: &mut ServiceConfig) {
    routes
        .service(health::healthz)
        .route("/readyz", web::get().to(not_ready))
        .default_service(web::to(refuse));
}

async fn not_ready() -> HttpResponse {
    let body = json!({ "status": "not_ready", "reasons": ["standby"] });
    std::future::ready(HttpResponse::ServiceUnavailable().json(body)).await
}

async fn refuse() -> HttpResponse {
    let error = ApiError::new(ErrorCode::ServerIsOverloaded, "this server stands by for another");
    std::future::ready(error.after(RETRY).error_response()).await
}
