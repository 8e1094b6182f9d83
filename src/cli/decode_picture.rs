//! `wanserve decode-picture`: the process in which strangers' pictures are decoded. Started by the server and its workers.

use std::io;
use std::process::ExitCode;

use anyhow::Result;

use super::confine::confine_decoder;
use crate::media::decode_piped;

/// Decode the picture on standard input
#[derive(Debug, clap::Args)]
pub(super) struct DecodePictureArgs {
    /// Answer width and height, but no pixels
    #[arg(long)]
    sides_only: bool,
}

/// Answers on standard output.
pub(super) fn run_decode_picture(args: &DecodePictureArgs) -> Result<ExitCode> {
    confine_decoder()?;
    decode_piped(io::stdin().lock(), io::stdout().lock(), args.sides_only)?;
    Ok(ExitCode::SUCCESS)
}
