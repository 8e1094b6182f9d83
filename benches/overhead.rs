//! What the server adds to the engine: seconds from POST to `completed` for the default clip, less the job's own stages, and
//! side by side with what `wanserve generate` takes for the same clip, in turns. Prints, and judges nothing.
//!
//! `cargo bench --bench overhead`, on an idle machine.

#![expect(clippy::print_stdout, reason = "its output is the measurement")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use wanserve::net::{ServerAddress, ServerClient};

/// Clips measured; one before them warms everything up.
const CLIPS: u32 = 8;

const PROMPT: &str = "The camera pans left. A red ball bounces on the meadow while the sun sets.";

fn main() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Server::start(folder.path())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut overheads, mut more) = (Vec::new(), Vec::new());
    println!("clip  POST→completed s  own stages s  overhead ms  generate s");
    for clip in 0..=CLIPS {
        let (wall, job) = runtime.block_on(server.make(clip))?;
        let own = stages(&job["timings"])?;
        let began = Instant::now();
        generate(folder.path(), clip)?;
        let whole = began.elapsed().as_secs_f64();
        if clip > 0 {
            let overhead = (wall - own) * 1000.0;
            println!("{clip:4}  {wall:16.3}  {own:12.3}  {overhead:11.1}  {whole:10.3}");
            overheads.push(overhead);
            more.push((wall - whole) * 1000.0);
        }
    }
    for (what, mut millis) in [("overhead", overheads), ("POST→completed less generate", more)] {
        millis.sort_by(f64::total_cmp);
        let (median, most) = (millis[millis.len() / 2], millis[millis.len() - 1]);
        println!("{what}: median {median:.1} ms, most {most:.1} ms over {CLIPS} clips");
    }
    Ok(())
}

/// Seconds that the engine and the encoder worked.
fn stages(timings: &Value) -> Result<f64> {
    let timings = timings.as_object().context("a finished job has timings")?;
    let own = timings.iter().filter(|(name, _)| !matches!(name.as_str(), "queue" | "upload" | "total"));
    Ok(own.filter_map(|(_, seconds)| seconds.as_f64()).sum())
}

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wanserve"));
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

/// The same clip without a server, with starting the program and loading the model.
fn generate(folder: &Path, seed: u32) -> Result<()> {
    let file = folder.join("clip.mp4");
    let seed = seed.to_string();
    let output = program().args(["generate", PROMPT, "--seed", &seed, "-o"]).arg(file).output()?;
    ensure!(output.status.success(), "generate failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// A server on a fresh folder, ended with the value.
struct Server {
    child: Child,
    client: ServerClient,
}

impl Server {
    fn start(folder: &Path) -> Result<Self> {
        let mut command = program();
        command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data-dir"]);
        command.arg(folder.join("data")).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let lines = BufReader::new(child.stdout.take().context("it has a standard output")?).lines();
        let (mut base, mut token) = (None, None);
        for line in lines.map_while(Result::ok) {
            base = base.or_else(|| line.strip_prefix("listening on ").map(str::to_owned));
            token = line.strip_prefix("api key: ").map(str::to_owned);
            if token.is_some() {
                break;
            }
        }
        let (base, token) = (base.context("no address")?, token.context("no key")?);
        Ok(Self { child, client: ServerClient::new(ServerAddress::Url { base, token })? })
    }

    /// Seconds from the request to the answer that it is completed, and the job.
    async fn make(&self, seed: u32) -> Result<(f64, Value)> {
        let request = self.client.request(Method::POST, "/v1/videos/generations");
        let request = request.json(&json!({ "prompt": PROMPT, "seed": seed, "wait": 60 }));
        let began = Instant::now();
        let job: Value = request.send().await?.error_for_status()?.json().await?;
        let wall = began.elapsed().as_secs_f64();
        ensure!(job["status"] == "completed", "no video: {job}");
        Ok((wall, job))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It holds nothing that the folder's end would not take with it.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
