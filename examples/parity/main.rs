//! Runs cases of the reference implementation through the engine and prints each output's error.
//!
//! `cargo run --release --example parity -- DIR… [--device cuda:0]`; exits with 1 if any output is over its case's
//! tolerance or a case cannot be run.

mod array;
mod case;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use kernels::Device;

use case::Case;

fn main() -> Result<ExitCode> {
    let (folders, device) = arguments()?;
    let mut passed = true;
    for folder in folders {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match Case::open(&folder).and_then(|case| case.run(&device)) {
            Ok(report) => {
                for line in &report.0 {
                    passed &= line.passes();
                    say(&format!("{name} {line}"));
                }
            }
            Err(error) => {
                passed = false;
                say(&format!("{name} FAILED: {error:#}"));
            }
        }
    }
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[expect(clippy::print_stdout, reason = "the example's result")]
fn say(line: &str) {
    println!("{line}");
}

fn arguments() -> Result<(Vec<PathBuf>, Device)> {
    let (mut folders, mut device) = (Vec::new(), Device::Cpu);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--device" {
            device = arguments.next().context("--device needs a name")?.parse()?;
        } else {
            folders.push(PathBuf::from(argument));
        }
    }
    ensure!(!folders.is_empty(), "no case folder given");
    Ok((folders, device))
}
