//! `wanserve openapi`: the document that `/openapi.json` serves, for the committed copy.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;

use crate::api;

/// Prints the document.
pub(super) fn run_openapi() -> Result<ExitCode> {
    writeln!(std::io::stdout(), "{}", api::openapi().to_pretty_json()?)?;
    Ok(ExitCode::SUCCESS)
}
