//! What the API costs: a started server with 100,000 jobs in its store, asked over loopback with a key, limits and
//! idempotency keys. The client runs on the same cores as the server, so the numbers hold for a machine that does both.
//! Prints a table for `docs/benchmarks.md`; nothing passes or fails.

#![expect(clippy::print_stdout, reason = "the table is the result")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wanserve::domain::clock::{Random, UnixMillis};
use wanserve::domain::id::{EventId, ProjectId, VideoId, WorkerId};
use wanserve::domain::job::{Holder, Job, JobRequest, JobStatus};
use wanserve::domain::key::{KEY_RANDOM_BYTES, KeyKind, KeyText, ProjectScope};
use wanserve::domain::model::ModelId;
use wanserve::domain::moves::{Move, Outcome, Spent};
use wanserve::domain::size::{AspectRatio, Resolution};
use wanserve::domain::video::{AttentionType, FrameCount, Operation, StepCount, VideoSpec};
use wanserve::scheduler::SystemRandom;
use wanserve::store::{Admission, Change, Gates, JobStore, Reach, sqlite};

/// Jobs in the store before anything is asked.
const JOBS: u64 = 100_000;

/// Writes that wait for one commit together while the store is filled.
const FILL_AT_ONCE: u64 = 256;

/// Requests of each kind, and how many are on their way at once.
const REQUESTS: usize = 10_000;
const CLIENTS: usize = 32;

/// Jobs of another project, whose ids the first one asks for.
const FOREIGN_JOBS: u64 = 1_000;

/// Pairs of requests that are compared, and when that ends at the latest.
const PAIRS: usize = 100_000;
const LONGEST_COMPARISON: Duration = Duration::from_secs(120);

/// The measured part ends here, whatever is left of it.
const LONGEST: Duration = Duration::from_secs(60);

/// High enough that nothing is refused, so that every limit is looked at.
const LIMITS: [(&str, &str); 6] = [
    ("WANSERVE_LIMITS_CREATES_PER_MINUTE", "100000000"),
    ("WANSERVE_LIMITS_READS_PER_MINUTE", "100000000"),
    ("WANSERVE_LIMITS_ACTIVE_JOBS", "100000000"),
    ("WANSERVE_LIMITS_GPU_SECONDS_PER_DAY", "1000000000"),
    ("WANSERVE_LIMITS_GPU_SECONDS_PER_MONTH", "1000000000"),
    ("WANSERVE_LIMITS_WRONG_KEYS_PER_MINUTE", "0"),
];

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let (key, scope) = first_key(folder.path());
    let began = Instant::now();
    let database = folder.path().join("wanserve.db");
    // `-- apart` compares only, over a store with nothing else in it.
    let apart_alone = std::env::args().any(|argument| argument == "apart");
    let ids = runtime.block_on(fill(&database, scope, if apart_alone { 0 } else { JOBS }));
    let project = ProjectId::new(1, SystemRandom.id_bytes());
    let foreign = runtime.block_on(fill(&database, ProjectScope { project, ..scope }, FOREIGN_JOBS));
    println!("filled with {} ended jobs in {:.1} s", ids.len(), began.elapsed().as_secs_f64());
    let server = Server::start(folder.path());
    let target = Target { address: server.address.clone(), key };
    if apart_alone {
        return runtime.block_on(apart(&target, &foreign));
    }
    println!("| request | a second | p50, ms | p99, ms | answers other than 200 |\n|---|---|---|---|---|");
    let body = r#"{"prompt":"A red ball rolls over green grass.","num_steps":4}"#;
    runtime.block_on(async {
        let create = |number: usize| {
            let key = format!("Idempotency-Key: bench-{number}\r\n");
            target.request("POST", "/v1/videos/generations", &key, body)
        };
        measure("accept", &target, create).await;
        let read = |number: usize| {
            let id = ids[number * 7919 % ids.len()];
            target.request("GET", &format!("/v1/videos/{id}"), "", "")
        };
        measure("status", &target, read).await;
        measure("list, first page", &target, |_| target.request("GET", "/v1/videos", "", "")).await;
        let deep = |number: usize| {
            let after = ids[number * 7919 % ids.len()];
            target.request("GET", &format!("/v1/videos?after={after}&limit=20"), "", "")
        };
        measure("list, a page within", &target, deep).await;
        let absent = |number: usize| {
            let id = VideoId::new(number as u64, SystemRandom.id_bytes());
            target.request("GET", &format!("/v1/videos/{id}"), "", "")
        };
        measure("status of an absent id", &target, absent).await;
        apart(&target, &foreign).await;
    });
}

/// What must take equally long, or time would tell what the answers do not.
async fn apart(target: &Target, foreign: &[VideoId]) {
    println!("\n| asked in turn | p50, µs | p50, µs | apart |\n|---|---|---|---|");
    let status = |id: &VideoId| target.request("GET", &format!("/v1/videos/{id}"), "", "");
    let theirs = |number: usize| status(&foreign[number * 7919 % foreign.len()]);
    let nobodys = |_| status(&VideoId::new(1_767_225_600_000, SystemRandom.id_bytes()));
    compare("status: another project's id, an absent id", target, theirs, nobodys).await;
    let models = |key: &str| {
        Target { address: target.address.clone(), key: key.to_owned() }.request("GET", "/v1/models", "", "")
    };
    let handle = target.key.split('_').nth(2).expect("a key has a handle");
    let fresh = |_| {
        let mut random = [0; KEY_RANDOM_BYTES];
        SystemRandom.fill(&mut random);
        KeyText::new(KeyKind::Project, &random).reveal().to_owned()
    };
    let wrong = |number| models(&behind(handle, &fresh(number)));
    compare("wrong secret: handle of a key in use, nobody's handle", target, wrong, |number| {
        models(&fresh(number))
    })
    .await;
}

/// The secret of `key` behind another handle, with the check that belongs to it.
fn behind(handle: &str, key: &str) -> String {
    const ALPHABET: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    const CHECK_LENGTH: u32 = 6;
    let secret = key.rsplit('_').next().expect("a key has a secret");
    let text = format!("vk_proj_{handle}_{}", &secret[..secret.len() - CHECK_LENGTH as usize]);
    let sum = u64::from(crc32fast::hash(text.as_bytes()));
    let digit = |place| char::from(ALPHABET[(sum / 62u64.pow(place) % 62) as usize]);
    let check: String = (0..CHECK_LENGTH).rev().map(digit).collect();
    format!("{text}{check}")
}

/// Asks for one and the other in turn over one connection, after a good request that keeps the key in use.
async fn compare(
    name: &str,
    target: &Target,
    one: impl Fn(usize) -> String,
    other: impl Fn(usize) -> String,
) {
    let mut stream = TcpStream::connect(&target.address).await.expect("a connection");
    stream.set_nodelay(true).expect("no delay");
    let good = target.request("GET", "/v1/models", "", "");
    let (mut seen, began, mut order) = ([Vec::new(), Vec::new()], Instant::now(), [0]);
    for number in 0..PAIRS {
        if began.elapsed() > LONGEST_COMPARISON {
            break;
        }
        stream.write_all(good.as_bytes()).await.expect("the request is sent");
        assert_eq!(answer(&mut stream).await, 200);
        SystemRandom.fill(&mut order);
        let first = usize::from(order[0] % 2);
        let mut statuses = [0; 2];
        for which in [first, 1 - first] {
            let request = if which == 0 { one(number) } else { other(number) };
            let sent = Instant::now();
            stream.write_all(request.as_bytes()).await.expect("the request is sent");
            statuses[which] = answer(&mut stream).await;
            seen[which].push(sent.elapsed());
        }
        assert_eq!(statuses[0], statuses[1], "{name}");
    }
    let pairs = seen[0].len();
    let [one, other] = seen.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64() * 1e6
    });
    println!("| {name}, {pairs} times | {one:.1} | {other:.1} | {:+.1} % |", (one / other - 1.0) * 100.0);
}

/// Makes the data folder's first project and a key for it.
fn first_key(folder: &Path) -> (String, ProjectScope) {
    let made = Command::new(env!("CARGO_BIN_EXE_wanserve"))
        .args(["keys", "create", "--json", "--data-dir"])
        .arg(folder)
        .output()
        .expect("the program runs");
    let key: serde_json::Value = serde_json::from_slice(&made.stdout).expect("a key as JSON");
    let text = |name: &str| key[name].as_str().expect("a text").to_owned();
    let organization = text("organization_id").parse().expect("an id");
    let project = text("project_id").parse().expect("an id");
    (text("value"), ProjectScope { organization, project })
}

/// Fills the store through its own verbs with jobs that ended over the last day.
async fn fill(path: &Path, scope: ProjectScope, jobs: u64) -> Vec<VideoId> {
    let store = sqlite::open_beside(path).await.expect("the store opens");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let first = now.as_millis() as u64 - 86_400_000;
    let mut ids = Vec::new();
    for start in (0..jobs).step_by(FILL_AT_ONCE as usize) {
        let jobs: Vec<Job> =
            (start..jobs.min(start + FILL_AT_ONCE)).map(|number| job(scope, first + number * 800)).collect();
        join_all(jobs.iter().map(|job| {
            let entry = EventId::new(job.created_at.0, SystemRandom.id_bytes());
            store.admit(Admission { job: job.clone(), gates: Gates::default(), idempotency: None, entry })
        }))
        .await
        .into_iter()
        .for_each(|made| drop(made.expect("a job is admitted")));
        for step in [claim as fn(u64) -> Move, complete] {
            let moves = jobs.iter().map(|job| {
                let at = UnixMillis(job.created_at.0 + 1);
                let event = EventId::new(at.0, SystemRandom.id_bytes());
                store.change(Change {
                    reach: Reach::Everywhere,
                    video: job.id,
                    step: step(at.0),
                    at,
                    event,
                    by: None,
                })
            });
            join_all(moves).await.into_iter().for_each(|made| drop(made.expect("a move fits")));
        }
        ids.extend(jobs.iter().map(|job| job.id));
    }
    ids
}

fn claim(at: u64) -> Move {
    let holder = Holder {
        worker: WorkerId::new(at, SystemRandom.id_bytes()),
        name: "cpu".to_owned(),
        local: true,
        since: UnixMillis(at),
    };
    Move::Claim { holder }
}

fn complete(_: u64) -> Move {
    let spent = Spent { gpu_seconds: 1.5, gpu_count: 1, ..Spent::default() };
    Move::Complete { epoch: 1, outcome: Outcome { assets: Vec::new(), spent, warnings: Vec::new() } }
}

fn job(scope: ProjectScope, created_at: u64) -> Job {
    let now = UnixMillis(created_at);
    let spec = VideoSpec {
        model: ModelId::new("wan-tiny"),
        operation: Operation::TextToVideo,
        prompt: "A red ball rolls over green grass.".to_owned(),
        effective_prompt: "A red ball rolls over green grass.".to_owned(),
        size: Resolution::P128.size(AspectRatio::Wide),
        resolution: Resolution::P128,
        aspect_ratio: Some(AspectRatio::Wide),
        frames: FrameCount::new(33).expect("a length"),
        steps: StepCount::new(4).expect("a number of steps"),
        seed: created_at as u32,
        sigma_max: 80.0,
        ode: false,
        boundary: None,
        adaptive_resolution: None,
        image_fit: None,
        attention: AttentionType::Original,
        sla_topk: None,
        quant_linear: false,
        normalize_prompt: true,
    };
    Job {
        id: VideoId::new(created_at, SystemRandom.id_bytes()),
        organization: scope.organization,
        project: scope.project,
        key: wanserve::domain::id::KeyId::new(1, [0; 10]),
        created_at: now,
        request: JobRequest {
            spec,
            requested_model: None,
            remixed_from: None,
            input: None,
            metadata: Default::default(),
            asset_ttl_seconds: 86_400,
            callback_url: None,
            warnings: Vec::new(),
            trace: None,
        },
        status: JobStatus::new(now),
    }
}

/// A started server without workers: jobs wait.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start(folder: &Path) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_wanserve"))
            .args(["--workers", "none", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
            .args(["--log-filter", "warn", "--models-dir", concat!(env!("CARGO_MANIFEST_DIR"), "/models")])
            .arg("--data-dir")
            .arg(folder)
            .envs(LIMITS)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program runs");
        let lines = BufReader::new(process.stdout.take().expect("its output is read")).lines();
        let mut addresses = lines
            .map_while(Result::ok)
            .filter_map(|line| line.strip_prefix("listening on http://").map(str::to_owned));
        let address = addresses.next().expect("the server listens");
        Self { process, address }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct Target {
    address: String,
    key: String,
}

impl Target {
    fn request(&self, method: &str, path: &str, headers: &str, body: &str) -> String {
        let Self { address, key } = self;
        format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {key}\r\n\
             Content-Type: application/json\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }
}

/// Sends the requests over a few connections and prints what they took.
async fn measure(name: &str, target: &Target, make: impl Fn(usize) -> String) {
    let began = Instant::now();
    let (make, began_at) = (&make, began);
    let clients = (0..CLIENTS).map(|client| async move {
        let mut stream = TcpStream::connect(&target.address).await.expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        let mut seen = Vec::new();
        for number in (client..REQUESTS).step_by(CLIENTS) {
            if began_at.elapsed() > LONGEST {
                break;
            }
            let request = make(number);
            let sent = Instant::now();
            stream.write_all(request.as_bytes()).await.expect("the request is sent");
            let status = answer(&mut stream).await;
            seen.push((sent.elapsed(), status));
        }
        seen
    });
    let mut seen: Vec<_> = join_all(clients).await.into_iter().flatten().collect();
    let spent = began.elapsed().as_secs_f64();
    seen.sort_unstable();
    let odd = seen.iter().filter(|(_, status)| *status != 200).count();
    let at = |part: f64| seen[((seen.len() - 1) as f64 * part) as usize].0.as_secs_f64() * 1000.0;
    let rate = seen.len() as f64 / spent;
    println!("| {name} | {rate:.0} | {:.1} | {:.1} | {odd} |", at(0.5), at(0.99));
}

/// Reads one whole answer.
async fn answer(stream: &mut TcpStream) -> u16 {
    let mut bytes = Vec::with_capacity(4096);
    loop {
        assert!(stream.read_buf(&mut bytes).await.expect("an answer") > 0, "the connection was closed");
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = std::str::from_utf8(&bytes[..end]).expect("a head of text").to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
        let whole = end + 4 + length.unwrap_or(0usize);
        while bytes.len() < whole {
            assert!(stream.read_buf(&mut bytes).await.expect("an answer") > 0, "the connection was closed");
        }
        return head.get(9..12).and_then(|status| status.parse().ok()).expect("a status");
    }
}
