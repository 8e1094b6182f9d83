//! A process that reads strangers' files: no environment, little memory, no way back. The kernel keeps the limits.

use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result};
use rustix::process::{Resource, Rlimit, setrlimit};

/// Heap and other private memory. Parsing takes 0.4 GB for the published tokenizer and less than 0.1 GB for any
/// checkpoint; tensors stay in mapped files, which do not count.
const DATA_BYTES: u64 = 1 << 30;
/// Address space besides the mapped files: the program, stacks and the allocator's reservations.
const ADDRESS_BYTES: u64 = 4 << 30;
/// 40 megapixels take 320 MB with 16-bit alpha, and as much again on the way to 8-bit RGB.
const DECODER_DATA_BYTES: u64 = 1 << 30;
/// The largest allowed picture takes about one second.
const DECODER_SECONDS: u64 = 5;
/// Standard input, output and error, and nothing to open besides.
const DECODER_FILES: u64 = 3;
/// Each input and output is open at most once.
const OPEN_FILES: u64 = 64;

/// Starts this program again with the same arguments and `flag`, without environment, and waits for it.
pub(super) fn again_confined(flag: &str) -> Result<ExitStatus> {
    let program = std::env::current_exe().context("this program's file")?;
    let arguments = std::env::args_os().skip(1);
    let mut child = Command::new(program);
    child.args(arguments).arg(flag).env_clear().stdin(Stdio::null());
    child.status().context("starting the confined process")
}

/// Limits this process for good. `inputs` are the files that it will map.
pub(super) fn confine<'a>(inputs: impl Iterator<Item = &'a Path>) -> Result<()> {
    let mapped: u64 = inputs.filter_map(|path| Some(std::fs::metadata(path).ok()?.len())).sum();
    // Each output is as long as its input and mapped once more to be summed up.
    limit(Resource::As, ADDRESS_BYTES.saturating_add(mapped.saturating_mul(2)))?;
    limit(Resource::Data, DATA_BYTES)?;
    limit(Resource::Nofile, OPEN_FILES)?;
    limit(Resource::Core, 0)
}

/// Limits this process for good to what decoding one picture needs: memory for the largest allowed one, seconds, three pipes.
pub(super) fn confine_decoder() -> Result<()> {
    limit(Resource::Data, DECODER_DATA_BYTES)?;
    limit(Resource::As, ADDRESS_BYTES)?;
    limit(Resource::Cpu, DECODER_SECONDS)?;
    limit(Resource::Nofile, DECODER_FILES)?;
    limit(Resource::Fsize, 0)?;
    limit(Resource::Core, 0)
}

fn limit(resource: Resource, most: u64) -> Result<()> {
    let both = Rlimit { current: Some(most), maximum: Some(most) };
    setrlimit(resource, both).with_context(|| format!("limiting {resource:?}"))
}
