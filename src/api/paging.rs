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

impl<I: PartialEq> Page<I> {
    /// The page of `items`, which come oldest first, and whether another follows.
    pub(crate) fn cut<T>(&self, mut items: Vec<T>, id: impl Fn(&T) -> I) -> Result<(Vec<T>, bool), ApiError> {
        if self.order == Order::Newest {
            items.reverse();
        }
        cut_behind(items, self.after.as_ref(), self.limit, id)
    }
}

/// Up to `limit` items behind the one of that id, and whether more follow.
pub(crate) fn cut_behind<T, I: PartialEq>(
    items: Vec<T>,
    after: Option<&I>,
    limit: u32,
    id: impl Fn(&T) -> I,
) -> Result<(Vec<T>, bool), ApiError> {
    let start = match after {
        None => 0,
        Some(after) => {
            let place = items.iter().position(|item| id(item) == *after);
            1 + place.ok_or_else(|| ApiError::invalid_value("after", "`after` is in no list of yours"))?
        }
    };
    let limit = limit as usize;
    let has_more = items.len() - start > limit;
    Ok((items.into_iter().skip(start).take(limit).collect(), has_more))
}
