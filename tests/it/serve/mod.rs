//! The built program, run as a user runs it: real processes, the real model, nothing scripted.
//! Each clip costs seconds, so a test makes one at most; only `ten` needs more.

mod audit;
mod bodies;
mod bombs;
mod bucket;
mod canary;
mod clip;
mod commands;
mod kill;
mod operator;
mod postgres;
pub(crate) mod program;
mod rebinding;
mod remote;
mod residency;
mod stop;
mod ten;
