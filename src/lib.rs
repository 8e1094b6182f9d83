//! wanserve: an OpenAI-style HTTP API that turns text and pictures into video on a pool of GPUs.
//!
//! `ARCHITECTURE.md` is the map.

pub mod api;
pub mod app;
pub mod cli;
pub mod config;
pub mod domain;
pub mod engine;
pub mod jobs;
pub mod media;
pub mod metrics;
pub mod net;
pub mod scheduler;
pub mod storage;
pub mod store;
pub mod telemetry;
pub mod webhooks;
pub mod worker;
