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

impl<I: Ord + Copy> Page<I> {
    /// The page of `items`, and whether another follows. Ids sort by time, so that a page may begin behind one that is not
    /// in the list any more: `gone` says whether an id once was.
    pub(crate) async fn cut<T>(
        &self,
        mut items: Vec<T>,
        id: impl Fn(&T) -> I,
        gone: impl AsyncFnOnce(I) -> Result<bool, ApiError>,
    ) -> Result<(Vec<T>, bool), ApiError> {
        if let Some(after) = self.after {
            if !items.iter().any(|item| id(item) == after) && !gone(after).await? {
                return Err(unknown_after());
            }
            items.retain(|item| match self.order {
                Order::Newest => id(item) < after,
                Order::Oldest => id(item) > after,
            });
        }
        items.sort_by_key(&id);
        if self.order == Order::Newest {
            items.reverse();
        }
        Ok(take(items, self.limit))
    }
}

/// For [`Page::cut`] of a list that nothing leaves.
pub(crate) async fn nothing_goes<I>(_: I) -> Result<bool, ApiError> {
    Ok(false)
}

/// Up to `limit` of items in an order of their own, behind the one of that id, and whether more follow.
pub(crate) fn cut_behind<T, I: PartialEq>(
    mut items: Vec<T>,
    after: Option<&I>,
    limit: u32,
    id: impl Fn(&T) -> I,
) -> Result<(Vec<T>, bool), ApiError> {
    if let Some(after) = after {
        let place = items.iter().position(|item| id(item) == *after);
        items.drain(..=place.ok_or_else(unknown_after)?);
    }
    Ok(take(items, limit))
}

/// A list cannot go on from there.
pub(crate) fn unknown_after() -> ApiError {
    ApiError::invalid_value("after", "`after` is in no list of yours")
}

fn take<T>(mut items: Vec<T>, limit: u32) -> (Vec<T>, bool) {
    let has_more = items.len() > limit as usize;
    items.truncate(limit as usize);
    (items, has_more)
}
