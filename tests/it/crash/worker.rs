//! A worker in a process of its own that makes files instead of videos, for tests that kill it.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use wanserve::domain::asset::{Asset, Variant};
use wanserve::domain::id::WorkerId;
use wanserve::domain::lease::{
    Complete, Cost, Heartbeat, HeartbeatAnswer, HostedModel, Lease, LeaseAnswer, LeaseRequest, PROTOCOL,
    Stored, Welcome, WorkerHello,
};
use wanserve::domain::model::ModelId;
use wanserve::domain::stage::{Stage, Timings};
use wanserve::net::{ServerAddress, ServerClient};

use super::victim::FOLDER;

/// What the server wants of workers.
pub(crate) const TOKEN: &str = "token-of-the-crash-test";

/// The file in the test's folder that says where the server is.
const ADDRESS: &str = "address";

/// Tells a worker its name.
const NAME: &str = "CRASH_TEST_WORKER";

/// Before it tries again what the server did not answer.
const PAUSE: Duration = Duration::from_millis(20);

/// A running worker; it ends with the test, also one that fails.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Starts one; it looks for the server in `folder`.
pub(crate) fn start(folder: &Path, name: usize) -> Running {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["crash::worker::main_of_a_worker", "--exact", "--nocapture"])
        .env(FOLDER, folder)
        .env(NAME, format!("worker-{name}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn();
    Running(child.unwrap())
}

/// Writes down where the server is, whole or not at all.
pub(crate) fn tell_address(folder: &Path, base: &str) {
    let aside = folder.join("address.new");
    std::fs::write(&aside, base).unwrap();
    std::fs::rename(aside, folder.join(ADDRESS)).unwrap();
}

/// The main function of the process; it does nothing unless it was started as a worker.
#[test]
#[expect(clippy::disallowed_methods, reason = "how the test tells its child what to be")]
fn main_of_a_worker() {
    let (Some(folder), Ok(name)) = (std::env::var_os(FOLDER), std::env::var(NAME)) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        loop {
            // Wherever it breaks off, it begins again with a hello; a job it held is then another's.
            let _ = work(Path::new(&folder), &name).await;
            tokio::time::sleep(PAUSE).await;
        }
    });
}

/// Works until a call fails that cannot be repeated.
async fn work(folder: &Path, name: &str) -> Option<()> {
    let mut hand = Hand { folder, client: connect(folder)? };
    let hello = WorkerHello {
        protocol: PROTOCOL,
        name: name.to_owned(),
        host: "here".to_owned(),
        version: "0".to_owned(),
        process: std::process::id(),
        devices: vec![],
        models: models(),
    };
    let welcome: Welcome = hand.post("/internal/v1/workers", &hello).await?;
    loop {
        let path = format!("/internal/v1/workers/{}/lease", welcome.worker);
        let request = LeaseRequest { wait_ms: 1000, models: models(), ..LeaseRequest::default() };
        let answer: LeaseAnswer = hand.post(&path, &request).await?;
        if let Some(lease) = answer.lease {
            hand.make(welcome.worker, &lease).await?;
        }
    }
}

fn connect(folder: &Path) -> Option<ServerClient> {
    let base = std::fs::read_to_string(folder.join(ADDRESS)).ok()?;
    ServerClient::new(ServerAddress::Url { base, token: TOKEN.to_owned() }).ok()
}

fn models() -> Vec<HostedModel> {
    vec![HostedModel { id: ModelId::new("wan-tiny"), quant_linear: false, resident: true }]
}

struct Hand<'a> {
    folder: &'a Path,
    client: ServerClient,
}

impl Hand<'_> {
    async fn make(&mut self, worker: WorkerId, lease: &Lease) -> Option<()> {
        let base = format!("/internal/v1/leases/{}", lease.video);
        let epoch = lease.epoch;
        let beat = Heartbeat {
            worker,
            epoch,
            sequence: 1,
            stage: Stage::Denoising,
            progress: 40,
            step: 1,
            devices: vec![],
        };
        let _: HeartbeatAnswer = self.post(&format!("{base}/heartbeat"), &beat).await?;
        let upload = lease.uploads.iter().find(|upload| upload.variant == Variant::Video)?;
        let file = Bytes::from(format!("{} of epoch {epoch}", lease.video));
        let stored = self.client.request(Method::PUT, &upload.url).body(file).send().await.ok()?;
        let stored: Stored = stored.json().await.ok()?;
        let asset = Asset {
            variant: Variant::Video,
            bytes: stored.bytes,
            sha256: stored.sha256,
            width: lease.spec.size.width(),
            height: lease.spec.size.height(),
            num_frames: Some(lease.spec.frames.get()),
            sheet: None,
        };
        let complete = Complete {
            worker,
            epoch,
            assets: vec![asset],
            timings: Timings::default(),
            cost: Cost { gpu_seconds: 0.1, gpu_count: 1, ..Cost::default() },
            warnings: vec![],
            loads: vec![],
        };
        self.insist(&format!("{base}/complete"), &complete).await;
        Some(())
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Option<T> {
        let answer = self.client.request(Method::POST, path).json(body).send().await.ok()?;
        answer.error_for_status().ok()?.json().await.ok()
    }

    /// Repeats a report until the server, or the one that comes after it, has answered in whatever way.
    async fn insist(&mut self, path: &str, body: &impl Serialize) {
        loop {
            let answer = self.client.request(Method::POST, path).json(body).send().await;
            if answer.is_ok_and(|answer| !answer.status().is_server_error()) {
                return;
            }
            tokio::time::sleep(PAUSE).await;
            if let Some(client) = connect(self.folder) {
                self.client = client;
            }
        }
    }
}
