//! The running server: every part built once, joined, started, and stopped in order.
//!
//! Read in this order: the whole (`server`), its folder (`data_folder`), the store (`database`),
//! the sockets (`listeners`), the operator's API (`operator`), the worker processes (`devices`, `supervisor`), whether it can work
//! (`readiness`), where files lie and what that takes (`files`, `measured`), what goes out (`outside`),
//! and what the audit log is told of a start (`settings`).

mod data_folder;
mod database;
mod devices;
mod files;
mod listeners;
mod measured;
mod operator;
mod outside;
mod readiness;
mod server;
mod settings;
mod supervisor;

pub use data_folder::{DataFolder, DataFolderError, Secrets};
pub use database::{open_store, open_store_beside};
pub use devices::linear_format;
pub use operator::operator_openapi;
pub use server::{Announcement, ServeError, serve};
