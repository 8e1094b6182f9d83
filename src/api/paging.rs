//! Which page of a list is asked for.

use std::str::FromStr;

use super::errors::ApiError;
use super::query::Query;
use crate::store::Order;

/// Items on a page unless the request says otherwise, and the most.
const DEFAULT_LIMIT: u64 = 20;
const MAX_LIMIT: u64 = 100;

/// A page of a list of things with ids of type `I`.
#[derive(Debug)]
pub(crate) struct Page<I> {
    pub(crate) after: Option<I>,
    pub(crate) limit: u32,
    pub(crate) order: Order,
}

impl<I: FromStr> Page<I> {
    /// Reads `after`, `limit` and `order`.
    pub(crate) fn of(query: &Query) -> Result<Self, ApiError> {
        let after = query.parsed("after", "the id of the last item of the page before")?;
        let limit = query.integer("limit", 0..=MAX_LIMIT)?.unwrap_or(DEFAULT_LIMIT);
        let order = match query.text("order") {
            None | Some("desc") => Order::Newest,
            Some("asc") => Order::Oldest,
            Some(_) => return Err(ApiError::invalid_value("order", "`order` must be asc or desc")),
        };
        Ok(Self { after, limit: limit as u32, order })
    }
}
