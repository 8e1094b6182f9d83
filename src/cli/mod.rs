//! The command line: a file a subcommand. Parses, calls, prints; the work is done elsewhere.

mod audit;
mod bench;
mod catalog;
mod confine;
mod decode_picture;
mod doctor;
mod generate;
mod keys;
mod migrate;
mod models;
mod openapi;
mod serve;
mod settings;
mod signals;
mod worker;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use crate::media::DECODE_COMMAND;
use crate::telemetry::veil_panics;

/// An OpenAI-style HTTP server that turns text and pictures into video
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::ServeArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Serve(serve::ServeArgs),
    Worker(worker::WorkerArgs),
    Generate(Box<generate::GenerateArgs>),
    Bench(Box<bench::BenchArgs>),
    Models(models::ModelsArgs),
    Keys(keys::KeysArgs),
    Audit(audit::AuditArgs),
    Migrate(migrate::MigrateArgs),
    Openapi(openapi::OpenapiArgs),
    Doctor(doctor::DoctorArgs),
    #[command(name = DECODE_COMMAND, hide = true)]
    DecodePicture(decode_picture::DecodePictureArgs),
}

/// Runs the subcommand of this process's arguments; without one, the server.
pub fn run() -> Result<ExitCode> {
    veil_panics();
    let cli = Cli::parse();
    match cli.command.unwrap_or(Command::Serve(cli.serve)) {
        Command::Serve(args) => serve::run_serve(args),
        Command::Worker(args) => worker::run_worker(args),
        Command::Generate(args) => generate::run_generate(*args),
        Command::Bench(args) => bench::run_bench(*args),
        Command::Models(args) => models::run_models(args),
        Command::Keys(args) => keys::run_keys(args),
        Command::Audit(args) => audit::run_audit(args),
        Command::Migrate(args) => migrate::run_migrate(args),
        Command::Openapi(args) => openapi::run_openapi(&args),
        Command::Doctor(args) => doctor::run_doctor(args),
        Command::DecodePicture(args) => decode_picture::run_decode_picture(&args),
    }
}
