//! The program.

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    wanserve::cli::run().unwrap_or_else(|error| {
        // Without a standard error there is nobody to tell.
        writeln!(std::io::stderr(), "error: {error:#}").ok();
        ExitCode::FAILURE
    })
}
