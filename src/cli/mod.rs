//! The command line: a file a subcommand. Parses, calls, prints; the work is done elsewhere.

mod confine;
mod models;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

/// An OpenAI-style HTTP server that turns text and pictures into video
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Models(models::ModelsArgs),
}

/// Runs the subcommand of this process's arguments.
pub fn run() -> Result<ExitCode> {
    match Cli::parse().command {
        Command::Models(args) => models::run_models(args),
    }
}
