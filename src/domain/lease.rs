//! The lease protocol between the server and its workers: every message, as it goes over the wire as JSON.
//!
//! | call | body → answer |
//! |---|---|
//! | `POST /internal/v1/workers` | [`WorkerHello`] → [`Welcome`] |
//! | `POST /internal/v1/workers/{worker}/lease` | [`LeaseRequest`] → [`LeaseAnswer`], after at most `wait_ms` |
//! | `POST /internal/v1/leases/{video}/heartbeat` | [`Heartbeat`] → [`HeartbeatAnswer`] |
//! | `GET /internal/v1/leases/{video}/{epoch}/input` | → the stored bytes of the input picture |
//! | `POST /internal/v1/leases/{video}/{epoch}/assets/{variant}/link` | [`UploadAsk`] → [`UploadWay`] |
//! | `PUT /internal/v1/leases/{video}/{epoch}/assets/{variant}` | bytes, with `content-length` → [`Stored`] |
//! | `POST /internal/v1/leases/{video}/complete` | [`Complete`] → `{}` |
//! | `POST /internal/v1/leases/{video}/fail` | [`Fail`] → `{}` |
//!
//! Errors are [`ProtocolError`]: 409 `stale_lease` means that somebody else has the job and the worker drops what it
//! did; 404 `unknown_worker` means that the server has been restarted and the worker says hello again;
//! 426 `protocol_version` that the two are too far apart; 401 `unauthorized`; 503 `unavailable` that it tries again.
//! A worker that says hello holds no job: what its name held before is given to others at once.
//! `complete` and `fail` may be repeated with the same epoch until an answer arrives.

use serde::{Deserialize, Serialize};

use super::asset::{Asset, InputImage, Variant};
use super::failure::{FailureClass, FailureCode};
use super::id::{VideoId, WorkerId};
use super::memory::Move;
use super::model::ModelId;
use super::stage::{Stage, Timings};
use super::trace::TraceContext;
use super::video::VideoSpec;
use super::warning::Warning;

/// The version that this program speaks; a server also accepts the one before.
pub const PROTOCOL: u32 = 1;

/// Header that carries the token of a worker that comes over TCP, as `Bearer <token>`.
pub const WORKER_TOKEN_HEADER: &str = "authorization";

/// First message of a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerHello {
    pub protocol: u32,
    /// Stable over restarts of the process and unique in the pool: `cpu`, `host7/cuda:1`.
    pub name: String,
    /// Machine name.
    pub host: String,
    /// Of the program.
    pub version: String,
    pub process: u32,
    pub devices: Vec<Device>,
    pub models: Vec<HostedModel>,
}

/// A device that a worker holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Device {
    pub index: u32,
    /// Empty for a CPU.
    pub uuid: String,
    pub name: String,
    /// Version of the driver; empty for a CPU.
    #[serde(default)]
    pub driver: String,
    /// Such as `9.0`; empty for a CPU.
    #[serde(default)]
    pub compute_capability: String,
    #[serde(default)]
    pub stats: DeviceStats,
}

/// What a device does at the moment; zero where it cannot be told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct DeviceStats {
    pub memory_total_bytes: u64,
    pub memory_used_bytes: u64,
    pub process_memory_used_bytes: u64,
    /// Held by the driver for itself.
    #[serde(default)]
    pub memory_reserved_bytes: u64,
    /// 0 to 1.
    pub utilization_ratio: f64,
    pub power_watts: f64,
    pub temperature_celsius: f64,
}

/// A model that a worker can run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostedModel {
    pub id: ModelId,
    pub quant_linear: bool,
    /// In memory now, ready to run.
    pub resident: bool,
}

/// Answer to a hello.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    pub protocol: u32,
    pub worker: WorkerId,
    /// Between two heartbeats.
    pub heartbeat_ms: u64,
    /// A worker without a good heartbeat for this long stops by itself, well before its lease ends.
    pub self_fence_ms: u64,
    /// After this long without a heartbeat the job is given to another.
    pub lease_ttl_ms: u64,
}

/// A worker has nothing to do.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LeaseRequest {
    /// How long the server may hold the answer back; it cuts this to its own limit.
    pub wait_ms: u64,
    pub models: Vec<HostedModel>,
    /// In the order of the hello.
    pub devices: Vec<DeviceStats>,
    /// What was done about memory since the last request.
    #[serde(default)]
    pub moves: Vec<Move>,
    /// Loads that the server has not confirmed by an answer to such a request.
    #[serde(default)]
    pub loads: Vec<ModelLoad>,
    /// A model comes or goes: the worker takes no job now and shows only that it lives.
    #[serde(default)]
    pub occupied: bool,
    /// Orders about models that it is done with, until the server has answered.
    #[serde(default)]
    pub carried_out: Vec<CarriedOut>,
}

/// A model that the worker is to have in its memory, or not to have there any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelOrder {
    /// Rises from order to order, also over restarts of the server.
    pub number: u64,
    pub model: ModelId,
    /// Whether the model is to be there.
    pub resident: bool,
}

/// A worker is done with an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedOut {
    pub number: u64,
    /// Why the order could not be followed.
    pub error: Option<String>,
}

/// A model came into a worker's memory. Told until the server answers, and so perhaps twice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelLoad {
    /// Counts the loads of the process, from 1: the server takes each number in once.
    pub number: u64,
    pub model: ModelId,
    pub seconds: f64,
}

/// A job, or orders, or none of them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LeaseAnswer {
    pub lease: Option<Box<Lease>>,
    #[serde(default)]
    pub orders: Orders,
    /// To be carried out before the next job, the first one first. Told until they are.
    #[serde(default)]
    pub models: Vec<ModelOrder>,
}

/// What the server wants of a worker besides work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orders {
    /// Take no new job.
    pub drain: bool,
    /// End the process once the current job is done; a supervisor starts a fresh one.
    pub restart: bool,
    /// Give the current job back at the next step and end.
    pub stop: bool,
}

/// A job in the hands of a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lease {
    pub video: VideoId,
    /// Goes with every later call about this job.
    pub epoch: u32,
    pub attempt: u32,
    pub spec: VideoSpec,
    pub input: Option<InputTarget>,
    /// What to make and where to put it.
    pub uploads: Vec<UploadTarget>,
    /// Whom it is done for.
    #[serde(default)]
    pub trace: Option<TraceContext>,
}

/// Where the input picture is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputTarget {
    pub image: InputImage,
    /// Path on this server.
    pub url: String,
}

/// Where one asset is put.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadTarget {
    pub variant: Variant,
    /// Path on this server.
    pub url: String,
}

/// A file that is to be stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadAsk {
    pub bytes: u64,
    /// 64 lower-case hex digits.
    pub sha256: String,
}

/// How it gets there.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadWay {
    /// `None`: it is put to the path of the lease.
    pub direct: Option<DirectUpload>,
}

/// An address outside of the server that takes one file with a `PUT`. It holds a signature, so it is not shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectUpload {
    pub url: String,
    /// To be sent as they are.
    pub headers: Vec<(String, String)>,
}

/// Answer to an upload over the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    pub bytes: u64,
    /// 64 lower-case hex digits, of what the server received.
    pub sha256: String,
}

/// Sign of life of a running job, and how far it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Heartbeat {
    pub worker: WorkerId,
    pub epoch: u32,
    /// Rises with each heartbeat of the lease.
    pub sequence: u64,
    pub stage: Stage,
    /// Percent of the whole job.
    pub progress: u8,
    /// Denoising steps done.
    pub step: u32,
    #[serde(default)]
    pub devices: Vec<DeviceStats>,
}

/// What the worker should know about its job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeartbeatAnswer {
    /// Stop at the next step and answer with `fail`, class `cancelled`.
    pub cancel: bool,
    #[serde(default)]
    pub orders: Orders,
}

/// The job is done; every asset has been stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Complete {
    pub worker: WorkerId,
    pub epoch: u32,
    pub assets: Vec<Asset>,
    pub timings: Timings,
    pub cost: Cost,
    /// Found while working, e.g. `prompt_truncated`.
    #[serde(default)]
    pub warnings: Vec<Warning>,
    /// As in the lease request: the process may end with this job.
    #[serde(default)]
    pub loads: Vec<ModelLoad>,
}

/// What the execution took of the device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Wall seconds from the start of text encoding to the end of decoding, times devices held.
    pub gpu_seconds: f64,
    pub gpu_count: u32,
    pub prompt_tokens: Option<u32>,
    /// Zero where it cannot be told.
    pub peak_memory_bytes: u64,
}

/// The job is over without a video.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fail {
    pub worker: WorkerId,
    pub epoch: u32,
    pub code: FailureCode,
    pub class: FailureClass,
    /// For the log; a client reads only what belongs to the code.
    pub message: String,
    #[serde(default)]
    pub timings: Timings,
    #[serde(default)]
    pub cost: Cost,
    /// As in the lease request: the process may end with this job.
    #[serde(default)]
    pub loads: Vec<ModelLoad>,
}

/// Body of every answer that is not a success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtocolError {
    /// `stale_lease`, `unknown_worker`, `protocol_version`, `unauthorized`, `invalid`, `unavailable`.
    pub code: String,
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_of_an_older_build_is_understood() {
        let answer: LeaseAnswer = serde_json::from_str(r#"{"lease":null}"#).unwrap();
        assert_eq!(answer, LeaseAnswer::default());
        let fail = r#"{"worker":"wk_019b76dabc007a0b8c0d0e0f10111213","epoch":3,"code":"encoding_failed",
                       "class":"deterministic","message":"no frames"}"#;
        let fail: Fail = serde_json::from_str(fail).unwrap();
        assert_eq!((fail.code, fail.class), (FailureCode::EncodingFailed, FailureClass::Deterministic));
    }
}
