//! What the lists in SQL have in common: a text that grows by conditions, a place to go on from, an order by id, a column
//! among values. Reads nothing.

use std::fmt::Write;

use crate::store::Order;

/// A statement that is put together from parts. A value never becomes part of the text.
#[derive(Debug)]
pub(super) struct Conditions {
    pub(super) text: String,
    pub(super) values: Vec<Value>,
}

/// What a `$n` of the text stands for.
#[derive(Debug)]
pub(super) enum Value {
    Text(String),
    Number(i64),
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl Conditions {
    pub(super) fn new(text: &str) -> Self {
        Self { text: text.to_owned(), values: Vec::new() }
    }

    pub(super) fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// The next `$n`, for that value.
    pub(super) fn value(&mut self, value: impl Into<Value>) -> &mut Self {
        self.values.push(value.into());
        write!(self.text, "${}", self.values.len()).expect("a string takes all that fits into memory");
        self
    }

    /// The rows that come after that id.
    pub(super) fn behind<I: ToString>(&mut self, order: Order, after: Option<I>) {
        if let Some(after) = after {
            self.push(match order {
                Order::Newest => " and id < ",
                Order::Oldest => " and id > ",
            });
            self.value(after.to_string());
        }
    }

    /// In that order a page, and one row more, which tells whether there are more.
    pub(super) fn page_by_id(&mut self, order: Order, limit: u32) {
        self.push(match order {
            Order::Newest => " order by id desc limit ",
            Order::Oldest => " order by id limit ",
        });
        self.value(i64::from(limit) + 1);
    }

    /// The column has one of the values; of none, it never has.
    pub(super) fn one_of(&mut self, column: &str, values: impl Iterator<Item = String>) {
        let before = self.values.len();
        self.push(" and ").push(column).push(" in (");
        for value in values {
            self.push(if self.values.len() == before { "" } else { ", " }).value(value);
        }
        self.push(if self.values.len() == before { "null)" } else { ")" });
    }
}
