//! The store of an installation that has outgrown one machine: a PostgreSQL server, which others keep, copy and watch.
//! One of our servers at a time works on a database. It holds a lock for as long as its connection lives, and a number that
//! whoever takes over raises: one that lost both unawares cannot write any more.

mod link;
#[cfg(test)]
mod lossy;
mod open;
#[cfg(test)]
mod tests;

pub use open::{look, open, open_beside};
