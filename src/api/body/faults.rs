//! What is wrong with a request, gathered in any order; its client hears of the first in schema order.
//! Finds no fault by itself.

use super::video::VIDEO_FIELDS;
use crate::api::errors::{ApiError, ErrorCode};

/// The faults found so far, of which only the first counts.
#[derive(Debug)]
pub(crate) struct Faults {
    /// Members of the route's schema after the parameters of a video.
    further: &'static [&'static str],
    first: Option<(Place, ApiError)>,
}

/// Where a fault stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// About the body as a whole.
    Body,
    Member(usize),
    /// Known elsewhere, not to this route.
    Unsupported,
    Unknown,
}

impl Faults {
    /// None yet, of a body that has these members after those of every video.
    pub(crate) fn of(further: &'static [&'static str]) -> Self {
        Self { further, first: None }
    }

    /// The value, or nothing and a fault more.
    pub(crate) fn keep<T, E: Into<ApiError>>(&mut self, result: Result<T, E>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.note(error.into());
                None
            }
        }
    }

    /// One more fault.
    pub(crate) fn note(&mut self, error: ApiError) {
        let place = self.place(&error);
        if self.first.as_ref().is_none_or(|(first, _)| place < *first) {
            self.first = Some((place, error));
        }
    }

    /// Whether a fault of this member, or of a part of it, would be the first: what is dear to check need not be checked otherwise.
    pub(crate) fn matters(&self, member: &str) -> bool {
        let place = self.member(root(member)).unwrap_or(Place::Unknown);
        self.first.as_ref().is_none_or(|(first, _)| place < *first)
    }

    /// The first fault, if there is any.
    pub(crate) fn finish(self) -> Result<(), ApiError> {
        self.first.map_or(Ok(()), |(_, error)| Err(error))
    }

    fn place(&self, error: &ApiError) -> Place {
        let Some(param) = error.param() else { return Place::Body };
        let outside = match error.is(ErrorCode::UnsupportedParameter) {
            true => Place::Unsupported,
            false => Place::Unknown,
        };
        self.member(root(param)).unwrap_or(outside)
    }

    fn member(&self, name: &str) -> Option<Place> {
        VIDEO_FIELDS.iter().chain(self.further).position(|member| *member == name).map(Place::Member)
    }
}

/// The member that a dotted path begins with.
fn root(path: &str) -> &str {
    path.split('.').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_in_schema_order_is_told() {
        let about = |param: &str| ApiError::invalid_value(param, "");
        let unsupported = ApiError::new(ErrorCode::UnsupportedParameter, "").about("audio");
        let mut faults = Faults::of(&["image", "wait"]);
        for (error, first, image_matters) in [
            (about("foo"), "foo", true),
            (unsupported, "audio", true),
            (about("wait"), "wait", true),
            (about("image.image_url"), "image.image_url", false),
            (about("seed"), "seed", false),
            (about("metadata.a"), "seed", false),
        ] {
            faults.note(error);
            assert_eq!(faults.first.as_ref().unwrap().1.param(), Some(first));
            assert_eq!(faults.matters("image.file_id"), image_matters, "{first}");
        }
        faults.note(ApiError::new(ErrorCode::InvalidJson, ""));
        assert_eq!(faults.finish().unwrap_err().param(), None);
    }
}
