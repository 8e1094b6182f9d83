//! Small valid jobs for tests, and a clock and chance that they control.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::asset::{Asset, Variant};
use super::audit::{Actor, Authorship};
use super::clock::{Clock, Moment, Random, UnixMillis};
use super::id::{EventId, ID_RANDOM_BYTES, KeyId, OrganizationId, ProjectId, VideoId, WorkerId};
use super::job::{Holder, Job, JobRequest, JobStatus};
use super::key::ProjectScope;
use super::model::ModelId;
use super::moves::{Outcome, Spent};
use super::size::{AspectRatio, Resolution};
use super::video::{AttentionType, FrameCount, Operation, StepCount, VideoSpec};

/// The project of that number.
pub(crate) fn scope(number: u64) -> ProjectScope {
    ProjectScope {
        organization: OrganizationId::new(1, [0; ID_RANDOM_BYTES]),
        project: ProjectId::new(number, [0; ID_RANDOM_BYTES]),
    }
}

/// A short clip of the small model.
pub(crate) fn spec(seed: u32) -> VideoSpec {
    VideoSpec {
        model: ModelId::new("wan-tiny"),
        operation: Operation::TextToVideo,
        prompt: "a red ball".to_owned(),
        effective_prompt: "a red ball".to_owned(),
        size: Resolution::P128.size(AspectRatio::Wide),
        resolution: Resolution::P128,
        aspect_ratio: Some(AspectRatio::Wide),
        frames: FrameCount::new(17).unwrap(),
        steps: StepCount::new(1).unwrap(),
        seed,
        sigma_max: 80.0,
        ode: false,
        boundary: None,
        adaptive_resolution: None,
        image_fit: None,
        attention: AttentionType::Original,
        sla_topk: None,
        quant_linear: false,
        normalize_prompt: true,
    }
}

/// The id of the entry that tells of the job's making.
pub(crate) fn entry(job: &Job) -> EventId {
    job.id.to_string().replace("video", "evt").parse().unwrap()
}

/// The server itself, in an entry made at `at` milliseconds.
pub(crate) fn by_server(at: u64, random: u8) -> Authorship {
    Authorship { entry: EventId::new(at, [random; ID_RANDOM_BYTES]), actor: Actor::Server }
}

/// A job of the project `project`, made at `created_at` milliseconds.
pub(crate) fn job(project: u64, created_at: u64) -> Job {
    let scope = scope(project);
    let now = UnixMillis(created_at);
    Job {
        id: VideoId::new(created_at, [project as u8; ID_RANDOM_BYTES]),
        organization: scope.organization,
        project: scope.project,
        key: KeyId::new(1, [0; ID_RANDOM_BYTES]),
        created_at: now,
        request: JobRequest {
            spec: spec(created_at as u32),
            requested_model: Some("auto".to_owned()),
            remixed_from: None,
            input: None,
            metadata: BTreeMap::from([("round".to_owned(), (created_at % 3).to_string())]),
            asset_ttl_seconds: 3600,
            callback_url: None,
            warnings: Vec::new(),
            trace: None,
        },
        status: JobStatus::new(now),
    }
}

/// Somebody who runs it.
pub(crate) fn holder(name: &str) -> Holder {
    Holder {
        worker: WorkerId::new(1, [0; ID_RANDOM_BYTES]),
        name: name.to_owned(),
        local: true,
        since: UnixMillis(0),
    }
}

/// A made video.
pub(crate) fn outcome() -> Outcome {
    let video = Asset {
        variant: Variant::Video,
        bytes: 4,
        sha256: "ab".repeat(32),
        width: 224,
        height: 128,
        num_frames: Some(17),
        sheet: None,
    };
    Outcome {
        assets: vec![video],
        spent: Spent { gpu_seconds: 1.5, gpu_count: 1, ..Spent::default() },
        warnings: Vec::new(),
    }
}

/// A clock that stands still until it is moved, both hands together unless the wall clock is put ahead.
#[derive(Debug, Default)]
pub(crate) struct TestClock {
    passed: Mutex<Duration>,
    ahead: Mutex<Duration>,
}

/// Random bytes that only count.
#[derive(Debug, Default)]
pub(crate) struct TestRandom(AtomicU64);

impl TestClock {
    pub(crate) fn pass(&self, time: Duration) {
        *self.passed.lock().unwrap() += time;
    }

    /// Puts the wall clock so far ahead of the time that passed.
    pub(crate) fn set_ahead(&self, time: Duration) {
        *self.ahead.lock().unwrap() = time;
    }
}

impl Clock for TestClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(1_767_225_600_000).after(*self.passed.lock().unwrap() + *self.ahead.lock().unwrap())
    }

    fn monotonic(&self) -> Moment {
        Moment(*self.passed.lock().unwrap())
    }
}

impl Random for TestRandom {
    fn fill(&self, bytes: &mut [u8]) {
        let number = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        for (byte, counted) in bytes.iter_mut().zip(number.iter().cycle()) {
            *byte = *counted;
        }
    }
}
