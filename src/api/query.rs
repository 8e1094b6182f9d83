//! Query parameters, taken by type. Unknown ones are ignored, as the contract says.

use std::str::FromStr;

use actix_web::{HttpRequest, web};

use super::errors::ApiError;
use crate::domain::clock::UnixMillis;

/// The pairs of a query string.
#[derive(Debug)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Decodes the query of a request.
    pub(crate) fn of(request: &HttpRequest) -> Result<Self, ApiError> {
        let pairs = web::Query::<Vec<(String, String)>>::from_query(request.query_string());
        match pairs {
            Ok(pairs) => Ok(Self(pairs.into_inner())),
            Err(_) => Err(ApiError::invalid_value("query", "the query string cannot be decoded")),
        }
    }

    /// The last value of that name; an empty one counts as absent.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let values = self.0.iter().rev().filter(|(key, _)| key == name);
        values.map(|(_, value)| value.as_str()).find(|value| !value.is_empty())
    }

    /// Every value of `name` and of `name[]`, as the two SDKs write arrays.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        let named = |key: &str| key.strip_suffix("[]").unwrap_or(key) == name;
        self.0.iter().filter(|(key, _)| named(key)).map(|(_, value)| value.clone()).collect()
    }

    /// Every pair whose name is `name[key]`.
    pub(crate) fn members(&self, name: &str) -> Vec<(String, String)> {
        let key = |full: &str| {
            let inside = full.strip_prefix(name)?.strip_prefix('[')?.strip_suffix(']')?;
            (!inside.is_empty()).then(|| inside.to_owned())
        };
        self.0.iter().filter_map(|(full, value)| key(full).map(|key| (key, value.clone()))).collect()
    }

    /// A value that is one of a few, or none at all.
    pub(crate) fn parsed<T: FromStr>(&self, name: &str, wanted: &str) -> Result<Option<T>, ApiError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        text.parse()
            .map(Some)
            .map_err(|_| ApiError::invalid_value(name, format!("`{name}` must be {wanted}")))
    }

    /// A whole number in a range.
    pub(crate) fn integer(
        &self,
        name: &str,
        range: std::ops::RangeInclusive<u64>,
    ) -> Result<Option<u64>, ApiError> {
        let wanted = format!("an integer from {} to {}", range.start(), range.end());
        match self.parsed::<u64>(name, &wanted)? {
            Some(value) if !range.contains(&value) => {
                Err(ApiError::invalid_value(name, format!("`{name}` must be {wanted}")))
            }
            other => Ok(other),
        }
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&self, name: &str) -> Result<Option<bool>, ApiError> {
        self.parsed(name, "true or false")
    }

    /// A time in Unix seconds.
    pub(crate) fn time(&self, name: &str) -> Result<Option<UnixMillis>, ApiError> {
        self.time_as(name, "a time in Unix seconds")
    }

    /// The same under another name.
    pub(crate) fn time_as(&self, name: &str, wanted: &str) -> Result<Option<UnixMillis>, ApiError> {
        Ok(self.parsed(name, wanted)?.map(UnixMillis::of_seconds))
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn values_are_typed_and_mistakes_named() {
        let pairs = "limit=5&x=&g=1&g[]=2&metadata[a]=1&metadata%5Bb%5D=2&on=true&late=18446744073709551615";
        let request = TestRequest::with_uri(&format!("/v1/videos?{pairs}")).to_http_request();
        let query = Query::of(&request).unwrap();
        assert_eq!(query.integer("limit", 0..=100).unwrap(), Some(5));
        assert!(query.integer("limit", 0..=4).is_err());
        assert_eq!((query.text("x"), query.boolean("on").unwrap()), (None, Some(true)));
        assert_eq!(query.list("g"), ["1", "2"]);
        assert_eq!(query.time("limit").unwrap(), Some(UnixMillis(5000)));
        assert_eq!(query.time("late").unwrap(), Some(UnixMillis::LATEST), "no database reads it as negative");
        let pairs = [("a", "1"), ("b", "2")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(query.members("metadata"), pairs);
    }
}
