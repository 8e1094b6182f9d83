//! What an interrupt means: the first asks for an orderly end, the second ends at once.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// As shells report an interrupted program.
const INTERRUPTED: i32 = 130;

/// Cancels `stop` at the first interrupt or termination signal and exits at the second.
pub(super) fn cancel_then_exit(stop: CancellationToken) -> io::Result<JoinHandle<()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if stop.is_cancelled() {
                warn!("second signal: ending at once");
                std::process::exit(INTERRUPTED);
            }
            info!("stopping; a second signal ends at once");
            stop.cancel();
        }
    }))
}
