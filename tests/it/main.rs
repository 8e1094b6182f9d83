//! One binary for every integration test: linking once is what keeps CI short.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod auth;
mod bench;
mod conformance;
mod conventions;
mod coverage;
mod crash;
mod delivery;
mod examples;
mod files;
mod generate;
mod goldens;
mod hostile_urls;
mod isolation;
mod key_life;
mod layers;
mod limits;
mod metrics;
mod models;
mod openapi;
mod organization;
mod panics;
mod picture_bombs;
mod prometheus;
mod schemathesis;
mod serve;
mod support;
mod tokens;
mod traces;
mod usage;
mod videos;
mod wan_tiny;
mod wan_tiny_quality;
mod webhook_receivers;
mod webhooks;
