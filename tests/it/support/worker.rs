//! A worker that speaks the real lease protocol over HTTP and makes no pictures: what it does with a job is its script.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::{Method, RequestBuilder, StatusCode};
use serde::Serialize;
use serde_json::Value;
use sha2::Digest;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use wanserve::domain::asset::{Asset, Variant};
use wanserve::domain::failure::{FailureClass, FailureCode};
use wanserve::domain::id::WorkerId;
use wanserve::domain::lease::{
    Complete, Cost, Fail, Heartbeat, HeartbeatAnswer, HostedModel, Lease, LeaseAnswer, LeaseRequest,
    PROTOCOL, Stored, UploadAsk, UploadWay, Welcome, WorkerHello,
};
use wanserve::domain::model::ModelId;
use wanserve::domain::stage::{Stage, Timings};
use wanserve::domain::warning::Warning;

use super::client::http;

/// What every job becomes: enough of an MP4 for whoever looks at the first bytes only.
pub(crate) const CLIP: &[u8] = b"\0\0\0\x18ftypisom\0\0\x02\0isomiso2mp41 and then one thousand frames";

/// What every thumbnail is.
pub(crate) const THUMBNAIL: &[u8] = b"RIFF\x04\0\0\0WEBP";

/// Tokens of a prompt that its text encoder would read.
const PROMPT_TOKENS: u32 = 128;

/// What the worker does with a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Script {
    /// Makes the clip at once.
    Complete,
    /// Works without end, until it is told otherwise or the job is cancelled.
    Hold,
    /// Fails.
    Fail(FailureCode),
}

/// A running worker; it ends when dropped.
pub(crate) struct Worker {
    script: watch::Sender<Script>,
    leases: Arc<Mutex<Vec<Lease>>>,
    peak_memory: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Worker {
    pub(super) async fn start(base: &str, token: &str, script: Script) -> Self {
        let (sender, script) = watch::channel(script);
        let leases = Arc::<Mutex<Vec<Lease>>>::default();
        let mut hand = Hand {
            base: base.to_owned(),
            token: token.to_owned(),
            http: http(),
            id: None,
            script,
            leases: leases.clone(),
            peak_memory: Arc::default(),
        };
        let peak_memory = hand.peak_memory.clone();
        hand.hello().await;
        let task = tokio::spawn(async move {
            loop {
                hand.turn().await;
            }
        });
        Self { script: sender, leases, peak_memory, task }
    }

    /// Follows another script from now on, also with the job at hand.
    pub(crate) fn follow(&self, script: Script) {
        self.script.send_replace(script);
    }

    /// Says of every job from now on that it needed that much device memory; nothing before, as a CPU.
    pub(crate) fn needs_memory(&self, bytes: u64) {
        self.peak_memory.store(bytes, Ordering::Relaxed);
    }
}

impl Worker {
    /// What it was given, from the first on.
    pub(crate) fn leases(&self) -> Vec<Lease> {
        self.leases.lock().unwrap().clone()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Hand {
    base: String,
    token: String,
    http: reqwest::Client,
    id: Option<WorkerId>,
    script: watch::Receiver<Script>,
    leases: Arc<Mutex<Vec<Lease>>>,
    peak_memory: Arc<AtomicU64>,
}

impl Hand {
    async fn hello(&mut self) {
        let hello = WorkerHello {
            protocol: PROTOCOL,
            name: format!("scripted-{}", uuid::Uuid::now_v7().simple()),
            host: "here".to_owned(),
            version: "0".to_owned(),
            process: std::process::id(),
            devices: Vec::new(),
            models: models(),
        };
        let welcome: Welcome =
            serde_json::from_value(self.call("/internal/v1/workers", &hello).await.unwrap()).unwrap();
        self.id = Some(welcome.worker);
    }

    async fn turn(&mut self) {
        let worker = self.id.unwrap();
        let request = LeaseRequest { wait_ms: 5000, models: models(), ..LeaseRequest::default() };
        let answer = self.call(&format!("/internal/v1/workers/{worker}/lease"), &request).await;
        let Some(answer) = answer else { return };
        let answer: LeaseAnswer = serde_json::from_value(answer).unwrap();
        if let Some(lease) = answer.lease {
            self.leases.lock().unwrap().push((*lease).clone());
            self.work(worker, &lease).await;
        }
    }

    async fn work(&mut self, worker: WorkerId, lease: &Lease) {
        if let Some(input) = &lease.input {
            let picture = self.request(Method::GET, &input.url).send().await.unwrap();
            assert_eq!(picture.status(), StatusCode::OK);
        }
        let mut sequence = 0;
        loop {
            sequence += 1;
            let beat = Heartbeat {
                worker,
                epoch: lease.epoch,
                sequence,
                stage: Stage::Denoising,
                progress: 15,
                step: 0,
                devices: Vec::new(),
            };
            let answer = self.call(&format!("/internal/v1/leases/{}/heartbeat", lease.video), &beat).await;
            let Some(answer) = answer else { return };
            let answer: HeartbeatAnswer = serde_json::from_value(answer).unwrap();
            if answer.cancel {
                return self.fail(worker, lease, FailureCode::Cancelled, FailureClass::Cancelled).await;
            }
            let script = *self.script.borrow_and_update();
            match script {
                Script::Complete => return self.complete(worker, lease).await,
                Script::Fail(code) => {
                    return self.fail(worker, lease, code, FailureClass::Deterministic).await;
                }
                Script::Hold => {
                    let pause = Duration::from_millis(50);
                    let _ = tokio::time::timeout(pause, self.script.changed()).await;
                }
            }
        }
    }

    async fn complete(&self, worker: WorkerId, lease: &Lease) {
        let mut assets = Vec::new();
        for target in &lease.uploads {
            let (bytes, frames) = match target.variant {
                Variant::Video => (CLIP, Some(lease.spec.frames.get())),
                Variant::Thumbnail => (THUMBNAIL, None),
                Variant::Spritesheet => continue,
            };
            let Some(stored) = self.upload(worker, lease, &target.url, bytes).await else { return };
            assets.push(Asset {
                variant: target.variant,
                bytes: stored.bytes,
                sha256: stored.sha256,
                width: lease.spec.size.width(),
                height: lease.spec.size.height(),
                num_frames: frames,
                sheet: None,
            });
        }
        let timings = Timings { denoise: Some(0.5), ..Timings::default() };
        // Words stand for tokens.
        let tokens = lease.spec.effective_prompt.split_whitespace().count() as u32;
        let cost = Cost {
            gpu_seconds: 0.75,
            gpu_count: 1,
            prompt_tokens: Some(tokens),
            peak_memory_bytes: self.peak_memory.load(Ordering::Relaxed),
        };
        let warnings = Warning::of_prompt_length(tokens, PROMPT_TOKENS).into_iter().collect();
        let done =
            Complete { worker, epoch: lease.epoch, assets, timings, cost, warnings, loads: Vec::new() };
        let path = format!("/internal/v1/leases/{}/complete", lease.video);
        // The server looks into its storage first, which may not answer; whoever has the job by then is no one's matter.
        for _ in 0..100 {
            match self.request(Method::POST, &path).json(&done).send().await {
                Ok(answer) if answer.status() == StatusCode::SERVICE_UNAVAILABLE => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Ok(_) | Err(_) => return,
            }
        }
    }

    /// As a real worker does it: past the server where it gives an address, again and again until it is stored, with
    /// signs of life in between. Nothing once the job is another's.
    async fn upload(
        &self,
        worker: WorkerId,
        lease: &Lease,
        path: &str,
        bytes: &'static [u8],
    ) -> Option<Stored> {
        let sha256: String = sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let ask = UploadAsk { bytes: bytes.len() as u64, sha256 };
        for sequence in 1_000_000.. {
            if let Some(way) = self.call(&format!("{path}/link"), &ask).await {
                let way: UploadWay = serde_json::from_value(way).unwrap();
                let upload = match way.direct {
                    Some(direct) => {
                        let put = self.http.put(&direct.url);
                        direct.headers.into_iter().fold(put, |put, (name, value)| put.header(name, value))
                    }
                    None => self.request(Method::PUT, path),
                };
                let stored = upload.body(bytes).send().await.is_ok_and(|answer| answer.status().is_success());
                if stored {
                    return Some(Stored { bytes: ask.bytes, sha256: ask.sha256 });
                }
            }
            let beat = Heartbeat {
                worker,
                epoch: lease.epoch,
                sequence,
                stage: Stage::Uploading,
                progress: 97,
                step: 0,
                devices: Vec::new(),
            };
            self.call(&format!("/internal/v1/leases/{}/heartbeat", lease.video), &beat).await?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        None
    }

    async fn fail(&self, worker: WorkerId, lease: &Lease, code: FailureCode, class: FailureClass) {
        let failed = Fail {
            worker,
            epoch: lease.epoch,
            code,
            class,
            message: "as the script says".to_owned(),
            timings: Timings::default(),
            cost: Cost::default(),
            loads: Vec::new(),
        };
        self.call(&format!("/internal/v1/leases/{}/fail", lease.video), &failed).await;
    }

    /// The answer, or nothing if the server refused or is gone.
    async fn call(&self, path: &str, body: &impl Serialize) -> Option<Value> {
        let response = self.request(Method::POST, path).json(body).send().await.ok()?;
        response.error_for_status().ok()?.json().await.ok()
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token)
    }
}

fn models() -> Vec<HostedModel> {
    vec![HostedModel { id: ModelId::new("wan-tiny"), quant_linear: false, resident: true }]
}
