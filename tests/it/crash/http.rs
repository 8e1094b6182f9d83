//! The whole service: the real server and scripted workers in processes of their own, killed in turn at random while
//! clients submit and wait. A client that gets no answer asks again with the same idempotency key.

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use wanserve::domain::clock::{Random, UnixMillis};
use wanserve::net::{ServerAddress, ServerClient};
use wanserve::scheduler::SystemRandom;
use wanserve::storage::Local;
use wanserve::store::{Aged, JobStore, SqlStore, postgres, sqlite};

use super::checker::check;
use super::victim::Promise;
use super::worker;
use crate::serve::program::Program;
use crate::support::postgres::Database;

const KILLS: usize = 50;

/// The same with a database that is killed too, which takes longer to come back.
const KILLS_WITH_A_DATABASE: usize = 30;

/// Clients at once, each with one job.
const CLIENTS: usize = 6;

/// Worker processes.
const WORKERS: usize = 3;

/// Jobs that end between two kills, at most.
const MOST_ENDS: f64 = 8.0;

/// No job, and no wait between two kills, takes longer on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Between two looks at a job, and before a client that got no answer asks again.
const ASK_EVERY: Duration = Duration::from_millis(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_servers_and_workers_lose_nothing_and_double_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (load, killed) = kill_at_random(folder.path(), &[], KILLS, None).await;
    let store = sqlite::open_beside(&folder.path().join("data/wanserve.db")).await.unwrap();
    let jobs = load.check(folder.path(), &store).await;
    println!("{killed} over {jobs} jobs");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_servers_workers_and_databases_lose_nothing_and_double_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::alone();
    let url = database.url();
    let variables = [("WANSERVE_STORE_URL", url.as_str())];
    let (load, killed) =
        kill_at_random(folder.path(), &variables, KILLS_WITH_A_DATABASE, Some(&database)).await;
    let store = postgres::open_beside(&url).await.unwrap();
    let jobs = load.check(folder.path(), &store).await;
    println!("{killed} over {jobs} jobs");
}

/// Kills one of them after another while clients submit and wait. What the clients saw, and what was killed.
async fn kill_at_random(
    folder: &Path,
    variables: &[(&str, &str)],
    kills: usize,
    database: Option<&Database>,
) -> (Arc<Load>, String) {
    let own = [
        ("WANSERVE_WORKERS_DEVICES", "none"),
        ("WANSERVE_WORKERS_TOKEN", worker::TOKEN),
        ("WANSERVE_LIMITS_CREATES_PER_MINUTE", "1000000"),
        ("WANSERVE_LIMITS_READS_PER_MINUTE", "1000000"),
        ("WANSERVE_LIMITS_ACTIVE_JOBS", "1000000"),
    ];
    let variables = [&own, variables].concat();
    let mut server = start(folder, &variables);
    let mut workers: Vec<worker::Running> = (0..WORKERS).map(|name| worker::start(folder, name)).collect();
    let load = Arc::new(Load { key: server.key(), ..Load::new(&server.base) });
    let clients: Vec<_> =
        (0..CLIENTS).map(|_| tokio::spawn(Arc::clone(&load).submit_until_stopped())).collect();

    let (mut servers_killed, mut workers_killed, mut databases_killed, mut cuts) = (0, 0, 0, 0);
    while servers_killed + workers_killed + databases_killed + cuts < kills {
        let enough = load.ends.load(Ordering::Relaxed) + 1 + (SystemRandom.fraction() * MOST_ENDS) as usize;
        let deadline = Instant::now() + PATIENCE;
        while load.ends.load(Ordering::Relaxed) < enough {
            assert!(Instant::now() < deadline, "jobs no longer end");
            load.revive(&mut server, folder, &variables);
            tokio::time::sleep(ASK_EVERY).await;
        }
        let targets = WORKERS + 2 + database.map_or(0, |_| 4);
        let target = (SystemRandom.fraction() * targets as f64) as usize;
        if let Some(worker) = workers.get_mut(target) {
            worker.kill();
            *worker = worker::start(folder, target);
            workers_killed += 1;
        } else if let Some(database) = database.filter(|_| target >= WORKERS + 4) {
            database.kill_server();
            databases_killed += 1;
        } else if let Some(database) = database.filter(|_| target >= WORKERS + 2) {
            database.cut();
            cuts += 1;
        } else {
            server.signal(Signal::KILL);
            server.ended();
            server = start(folder, &variables);
            load.moved_to(&server.base);
            servers_killed += 1;
        }
    }
    load.stopped.store(true, Ordering::Relaxed);
    for client in clients {
        while !client.is_finished() {
            load.revive(&mut server, folder, &variables);
            tokio::time::sleep(ASK_EVERY).await;
        }
        client.await.unwrap();
    }
    for worker in &mut workers {
        worker.kill();
    }
    let killed = format!(
        "{servers_killed} servers, {workers_killed} workers and {databases_killed} databases killed, \
         all connections cut {cuts} times,"
    );
    (load, killed)
}

/// Starts the server and tells the workers where it is.
fn start(folder: &Path, variables: &[(&str, &str)]) -> Program {
    let server = Program::start(folder, variables);
    worker::tell_address(folder, &server.base);
    server
}

/// What the clients share.
struct Load {
    key: String,
    base: Mutex<String>,
    promises: Mutex<Vec<Promise>>,
    ends: AtomicUsize,
    stopped: AtomicBool,
}

impl Load {
    fn new(base: &str) -> Self {
        Self {
            key: String::new(),
            base: Mutex::new(base.to_owned()),
            promises: Mutex::default(),
            ends: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
        }
    }

    fn moved_to(&self, base: &str) {
        *self.base.lock().unwrap() = base.to_owned();
    }

    /// Every promise is kept, and there is one job for each request; how many there are.
    async fn check(&self, folder: &Path, store: &SqlStore) -> usize {
        let promises = self.promises.lock().unwrap().clone();
        check(store, &Local::open(&folder.join("data/files")).unwrap(), &promises).await;
        let submitted: HashSet<_> =
            promises.iter().filter(|promise| matches!(promise, Promise::Admitted(_))).collect();
        let stored = store.aged(Aged::Ended(UnixMillis(i64::MAX as u64)), u32::MAX).await.unwrap();
        assert_eq!(stored.len(), submitted.len(), "one job for each request, however often it was sent");
        stored.len()
    }

    async fn submit_until_stopped(self: Arc<Self>) {
        while !self.stopped.load(Ordering::Relaxed) {
            let name = format!("{:x}", u128::from_be_bytes(std::array::from_fn(|_| fresh_byte())));
            let body = json!({"prompt": "a ball", "num_frames": 17, "num_steps": 1});
            let job = self.insist(Method::POST, "/v1/videos/generations", Some((&name, body))).await;
            let video = job["id"].as_str().unwrap().to_owned();
            self.promise(Promise::Admitted(video.clone()));
            let path = format!("/v1/videos/{video}");
            let deadline = Instant::now() + PATIENCE;
            loop {
                let job = self.insist(Method::GET, &path, None).await;
                match job["status"].as_str() {
                    Some("completed") => break self.promise(Promise::Completed(video)),
                    Some("failed") => {
                        assert_eq!(job["error"]["code"], "worker_lost", "{job}");
                        break;
                    }
                    _ => assert!(Instant::now() < deadline, "no end of {job}"),
                }
                tokio::time::sleep(ASK_EVERY).await;
            }
            self.ends.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Asks until there is an answer, wherever the server may be by now.
    async fn insist(&self, method: Method, path: &str, create: Option<(&str, Value)>) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let base = self.base.lock().unwrap().clone();
            let client = ServerClient::new(ServerAddress::Url { base, token: self.key.clone() }).unwrap();
            let mut request = client.request(method.clone(), path);
            if let Some((name, body)) = &create {
                request = request.header("idempotency-key", *name).json(body);
            }
            match request.send().await {
                Ok(answer) if answer.status().is_success() => {
                    if let Ok(body) = answer.json().await {
                        return body;
                    }
                }
                Ok(answer) => {
                    let status = answer.status().as_u16();
                    assert!(matches!(status, 409 | 429 | 503), "{path}: {status}: {:?}", answer.text().await);
                }
                Err(_) => {}
            }
            assert!(Instant::now() < deadline, "{path} is never answered");
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    /// Starts a server again that ended by itself, as whatever keeps services does: it may, once its database was away for
    /// longer than it keeps clients waiting for the truth.
    fn revive(&self, server: &mut Program, folder: &Path, variables: &[(&str, &str)]) {
        if server.has_ended() {
            *server = start(folder, variables);
            self.moved_to(&server.base);
        }
    }

    fn promise(&self, promise: Promise) {
        self.promises.lock().unwrap().push(promise);
    }
}

fn fresh_byte() -> u8 {
    let mut byte = [0];
    SystemRandom.fill(&mut byte);
    byte[0]
}
