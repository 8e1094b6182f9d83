//! What no route takes: 404, or 405 with the methods that the path does have.

use actix_web::{HttpRequest, HttpResponse, ResponseError, web};
use utoipa::openapi::OpenApi;

use crate::api::errors::ApiError;

/// The paths of the API and their methods.
#[derive(Debug, Clone)]
pub(crate) struct KnownPaths(Vec<(Vec<String>, Vec<&'static str>)>);

impl KnownPaths {
    /// From the document, so that no route is forgotten.
    pub(crate) fn of(document: &OpenApi) -> Self {
        let known = document.paths.paths.iter().map(|(path, item)| {
            let methods = [
                ("GET", item.get.is_some()),
                ("HEAD", item.head.is_some()),
                ("POST", item.post.is_some()),
                ("PUT", item.put.is_some()),
                ("PATCH", item.patch.is_some()),
                ("DELETE", item.delete.is_some()),
            ];
            let methods = methods.into_iter().filter(|(_, there)| *there).map(|(method, _)| method);
            (path.split('/').map(str::to_owned).collect(), methods.collect())
        });
        Self(known.collect())
    }

    /// The methods of a path that has no placeholders.
    pub(crate) fn literal(&self, path: &str) -> Option<&[&'static str]> {
        let mut literal = self.0.iter().filter(|(known, _)| known.iter().all(|part| !part.starts_with('{')));
        literal.find(|(known, _)| known.join("/") == path).map(|(_, methods)| methods.as_slice())
    }

    /// The methods of a path; a path with literal segments wins over one with placeholders.
    fn methods(&self, path: &str) -> Option<&[&'static str]> {
        let segments: Vec<&str> = path.split('/').collect();
        let placeholders = |known: &[String]| known.iter().filter(|part| part.starts_with('{')).count();
        let fitting = self.0.iter().filter(|(known, _)| fits(known, &segments));
        fitting.min_by_key(|(known, _)| placeholders(known)).map(|(_, methods)| methods.as_slice())
    }
}

fn fits(known: &[String], segments: &[&str]) -> bool {
    let same =
        |(known, given): (&String, &&str)| (known.starts_with('{') && !given.is_empty()) || known == given;
    known.len() == segments.len() && known.iter().zip(segments).all(same)
}

/// The answer where no route fits.
pub(crate) async fn fallback(request: HttpRequest, known: web::Data<KnownPaths>) -> HttpResponse {
    let error = match known.methods(request.path()) {
        Some(methods) => ApiError::method_not_allowed(&methods.join(", ")),
        None => ApiError::unknown_url(request.method().as_str(), request.path()),
    };
    std::future::ready(error.error_response()).await
}
