//! The program.

fn main() -> anyhow::Result<std::process::ExitCode> {
    wanserve::cli::run()
}
