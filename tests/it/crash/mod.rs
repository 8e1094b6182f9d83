//! Processes killed without warning, at random, under load. Afterwards nothing that was promised is missing or doubled.

mod checked;
mod checker;
mod http;
mod store;
mod victim;
pub(crate) mod worker;
