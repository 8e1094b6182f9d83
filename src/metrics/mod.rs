//! Every metric, declared once: its doc line is its help, its field name its name after `wanserve_`.
//! Counts and observes; never decides anything and never reads a clock.
//!
//! Labels never hold ids of videos or keys, prompts, URLs or raw paths.

mod kind;
mod list;
mod project;

pub use kind::{Counter, Gauge, Histogram};
pub use list::{KnownLabels, Metrics};

/// The content type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
