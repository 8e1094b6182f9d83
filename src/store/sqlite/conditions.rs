//! What the lists in SQL have in common: a place to go on from, an order by id, a column among values. Reads nothing.

use sqlx::{QueryBuilder, Sqlite as Dialect};

use crate::store::Order;

/// The rows that come after that id.
pub(super) fn behind<I: ToString>(sql: &mut QueryBuilder<Dialect>, order: Order, after: Option<I>) {
    if let Some(after) = after {
        sql.push(match order {
            Order::Newest => " and id < ",
            Order::Oldest => " and id > ",
        });
        sql.push_bind(after.to_string());
    }
}

/// In that order a page, and one row more, which tells whether there are more.
pub(super) fn page_by_id(sql: &mut QueryBuilder<Dialect>, order: Order, limit: u32) {
    sql.push(match order {
        Order::Newest => " order by id desc limit ",
        Order::Oldest => " order by id limit ",
    });
    sql.push_bind(i64::from(limit) + 1);
}

/// The column has one of the values.
pub(super) fn one_of(sql: &mut QueryBuilder<Dialect>, column: &str, values: impl Iterator<Item = String>) {
    sql.push(format_args!(" and {column} in ("));
    let mut list = sql.separated(", ");
    for value in values {
        list.push_bind(value);
    }
    sql.push(")");
}
