//! `wanserve migrate`: brings the database of a data folder up to this version, without serving.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;

use super::settings::SettingsArgs;
use crate::app::DataFolder;
use crate::store::Sqlite;

/// Bring the database of a data folder up to this version
#[derive(Debug, clap::Args)]
pub(super) struct MigrateArgs {
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Opening migrates; the folder's lock makes sure that no server is in the way.
pub(super) fn run_migrate(args: MigrateArgs) -> Result<ExitCode> {
    let config = args.settings.load()?;
    let folder = DataFolder::open(&config.data.dir)?;
    let lock = folder.lock()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(Sqlite::open(&folder.database()))?;
    drop(lock);
    writeln!(std::io::stdout(), "{} is up to date", folder.database().display())?;
    Ok(ExitCode::SUCCESS)
}
