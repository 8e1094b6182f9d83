//! Tells the program which commit and compiler it is made from, for the metric `build_info`. Fails no build. Its variables
//! do not begin like settings: `cargo run` hands them to the server, which names every setting that it does not know.

#![expect(clippy::disallowed_methods, reason = "a build script is configured by its environment")]

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=BUILD_COMMIT");
    // Grows with every commit of a clone; in a linked worktree it lies elsewhere, and the first answer stays.
    if Path::new(".git/logs/HEAD").exists() {
        println!("cargo:rerun-if-changed=.git/logs/HEAD");
    }
    let commit = std::env::var("BUILD_COMMIT").ok().filter(|commit| !commit.is_empty());
    let commit = commit.or_else(|| first_line("git", &["rev-parse", "--short=12", "HEAD"]));
    let compiler = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    // "rustc 1.95.0 (…)": the number alone.
    let version = first_line(&compiler, &["--version"]);
    let version = version.as_deref().and_then(|line| line.split(' ').nth(1));
    println!("cargo:rustc-env=BUILD_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
    println!("cargo:rustc-env=BUILD_RUSTC={}", version.unwrap_or("unknown"));
}

fn first_line(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.lines().next().map(str::to_owned)).flatten()
}
