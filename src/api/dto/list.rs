//! One page of a list, as every list of the contract looks.

use serde::Serialize;

/// A page. All five keys are always there.
#[derive(Debug, Serialize)]
pub(crate) struct ListObject<T> {
    pub(crate) object: &'static str,
    pub(crate) data: Vec<T>,
    pub(crate) first_id: Option<String>,
    pub(crate) last_id: Option<String>,
    pub(crate) has_more: bool,
}

impl<T> ListObject<T> {
    /// `id` names an item; `has_more` says whether there is a next page.
    pub(crate) fn new(data: Vec<T>, has_more: bool, id: impl Fn(&T) -> String) -> Self {
        let first_id = data.first().map(&id);
        let last_id = data.last().map(&id);
        Self { object: "list", data, first_id, last_id, has_more }
    }
}
