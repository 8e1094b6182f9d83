//! `wanserve migrate`: brings the database up to this version, without serving.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;

use super::settings::SettingsArgs;
use crate::app::{DataFolder, open_store};

/// Bring the database up to this version
#[derive(Debug, clap::Args)]
pub(super) struct MigrateArgs {
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Opening migrates; the locks of the folder and of the database make sure that no server is in the way.
pub(super) fn run_migrate(args: MigrateArgs) -> Result<ExitCode> {
    let config = args.settings.load()?;
    let folder = DataFolder::open(&config.data.dir)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let lock = runtime.block_on(folder.lock())?;
    runtime.block_on(open_store(&config, &folder))?;
    drop(lock);
    match config.store.url {
        Some(_) => writeln!(std::io::stdout(), "the PostgreSQL database is up to date")?,
        None => writeln!(std::io::stdout(), "{} is up to date", folder.database().display())?,
    }
    Ok(ExitCode::SUCCESS)
}
