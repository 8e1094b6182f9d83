//! The log: lines on standard error, as text or JSON, panics among them. Standard output belongs to addresses, keys and
//! results. What a panic says that was put together as it happened is never shown: it may quote a request.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{IsTerminal, Write};
use std::panic::PanicHookInfo;

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

/// In place of a panic's message.
const WITHHELD: &str = "its message is withheld, for it may quote a request";

/// From now on a panic of this process tells where it happened, and its message only if that stands in the program as it is.
pub fn veil_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or("unnamed");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let message = message(panic);
        // Names of functions and lines; captured only if the environment asks for it.
        let backtrace = Backtrace::capture();
        let backtrace = (backtrace.status() == BacktraceStatus::Captured).then_some(backtrace);
        if tracing::dispatcher::has_been_set() {
            let backtrace = backtrace.map(tracing::field::display);
            tracing::error!(thread, place, backtrace, "panicked: {message}");
        } else {
            let backtrace = backtrace.map(|frames| format!("\n{frames}")).unwrap_or_default();
            // Without a standard error there is nobody to tell.
            writeln!(std::io::stderr(), "thread {thread} panicked at {place}: {message}{backtrace}").ok();
        }
    }));
}

/// A literal, which holds nothing that came from outside.
fn message(panic: &PanicHookInfo<'_>) -> &'static str {
    panic.payload().downcast_ref::<&'static str>().copied().unwrap_or(WITHHELD)
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
