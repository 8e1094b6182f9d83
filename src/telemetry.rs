//! The log: lines on standard error, as text or JSON. Standard output belongs to addresses, keys and results.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Log, LogFormat};

/// Why logging cannot start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("log.filter: {0}")]
    Filter(#[from] ParseError),
    #[error("the log has been started before")]
    Twice,
}

/// Starts the log of this process. Fails on a filter that cannot be read, or the second time.
pub fn start(log: &Log) -> Result<(), TelemetryError> {
    let registry = tracing_subscriber::registry().with(EnvFilter::try_new(&log.filter)?);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let started = match log.format {
        LogFormat::Text => registry.with(lines.with_ansi(std::io::stderr().is_terminal())).try_init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    };
    started.map_err(|_| TelemetryError::Twice)
}
