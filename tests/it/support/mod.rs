//! What the tests over HTTP share: a server in this process, a client, a worker that follows a script.

mod app;
mod client;
mod picture;
mod sink;
mod worker;

pub(crate) use app::{Setup, TestApp};
pub(crate) use client::{Answer, Client, Part};
pub(crate) use picture::{encoded, jpeg, png};
pub(crate) use sink::{Received, Sink};
pub(crate) use worker::{CLIP, Script, THUMBNAIL};
