//! `wanserve openapi`: the documents that `/openapi.json` serves on each listener, for the committed copies.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;

use crate::{api, app};

/// Print the OpenAPI document
#[derive(Debug, clap::Args)]
pub(super) struct OpenapiArgs {
    /// That of the operator's API
    #[arg(long)]
    operator: bool,
}

/// Prints the document.
pub(super) fn run_openapi(args: &OpenapiArgs) -> Result<ExitCode> {
    let document = if args.operator { app::operator_openapi() } else { api::openapi() };
    writeln!(std::io::stdout(), "{}", document.to_pretty_json()?)?;
    Ok(ExitCode::SUCCESS)
}
