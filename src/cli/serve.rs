//! `wanserve serve`, and `wanserve` alone: everything on one machine.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Context, Result};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::settings::SettingsArgs;
use super::{catalog, signals};
use crate::app::{self, Announcement};
use crate::telemetry;

/// Run the server: API, queue, storage and a worker a device
#[derive(Debug, Default, clap::Args)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    settings: SettingsArgs,
}

/// What the curl line asks for: the bundled model knows such things.
const SAMPLE_PROMPT: &str = "a red ball rolls to the right";

/// Serves until an interrupt or a termination signal.
pub(super) fn run_serve(args: ServeArgs) -> Result<ExitCode> {
    let config = args.settings.load()?;
    telemetry::start(&config.log)?;
    for warning in &config.warnings {
        warn!("{warning}");
    }
    let linear = app::linear_format(config.models.linear_format, &config.workers.devices);
    let catalog = catalog::deployed(&config.models, linear)?;
    // This thread lives as long as the program: the kernel ends worker processes with the thread that made them.
    actix_web::rt::System::new().block_on(async {
        let stop = CancellationToken::new();
        let signals = signals::cancel_then_exit(stop.clone()).context("cannot listen for signals")?;
        let served = app::serve(config, catalog, print, stop).await;
        signals.abort();
        Ok(served.map(|()| ExitCode::SUCCESS)?)
    })
}

/// Addresses and the key go to standard output, where scripts read them.
fn print(announcement: &Announcement) {
    let mut out = io::stdout().lock();
    // Nobody reads it any more if this fails, and that must not stop the server.
    if let Err(error) = write(&mut out, announcement) {
        warn!("the addresses could not be printed: {error}");
    }
}

fn write(out: &mut impl Write, announcement: &Announcement) -> io::Result<()> {
    let Announcement { listen, admin_listen, first_key } = announcement;
    writeln!(out, "listening on http://{listen}")?;
    writeln!(out, "admin listening on http://{admin_listen}")?;
    if let Some(key) = first_key {
        let key = key.reveal();
        writeln!(out, "api key: {key}")?;
        writeln!(out, "\nThe key is shown this once. To make a video:\n")?;
        writeln!(
            out,
            "curl -sS http://{listen}/v1/videos/generations -H 'Authorization: Bearer {key}' \
             -H 'Content-Type: application/json' -d '{{\"prompt\":\"{SAMPLE_PROMPT}\",\"wait\":60}}' \
             | grep -o 'video_[0-9a-f]*' | head -n 1 \
             | xargs -I ID curl -sS http://{listen}/v1/videos/ID/content -H 'Authorization: Bearer {key}' -o video.mp4\n"
        )?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::key::{KEY_RANDOM_BYTES, KeyKind, KeyText};

    #[test]
    fn scripts_find_addresses_and_key_on_lines_of_their_own() {
        let announcement = Announcement {
            listen: "127.0.0.1:8080".parse().unwrap(),
            admin_listen: "127.0.0.1:8081".parse().unwrap(),
            first_key: Some(KeyText::new(KeyKind::Project, &[7; KEY_RANDOM_BYTES])),
        };
        let mut out = Vec::new();
        write(&mut out, &announcement).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "listening on http://127.0.0.1:8080");
        assert_eq!(lines[1], "admin listening on http://127.0.0.1:8081");
        assert!(lines[2].strip_prefix("api key: ").unwrap().parse::<KeyText>().is_ok());
    }
}
