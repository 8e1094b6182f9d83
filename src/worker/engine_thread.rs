//! The one thread that owns the device and the models on it. Everyone else sends it messages;
//! models stay in memory from one job to the next while they fit.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::oneshot;
use tracing::{Span, info, warn};

use super::devices::ProcessMemory;
use super::failure::Failure;
use super::progress::Progress;
use super::publish::Publisher;
use crate::domain::asset::{Asset, Variant};
use crate::domain::device::DeviceName;
use crate::domain::failure::{FailureClass, FailureCode};
use crate::domain::lease::{Cost, ModelLoad};
use crate::domain::memory::Move;
use crate::domain::model::ModelId;
use crate::domain::picture::{Frame, Picture};
use crate::domain::stage::{Stage, Timings};
use crate::domain::video::{ImageFit, VideoSpec};
use crate::domain::warning::Warning;
use crate::engine::image::fit;
use crate::engine::weights::{Library, Model};
use crate::engine::{EngineError, Listener, Pipeline, Settings, Stop};

/// Without a command for this long a device gives back what jobs computed in: longer than between jobs that wait for one
/// another, as taking it again holds up the next one a little.
const REST_AFTER: Duration = Duration::from_secs(10);

/// The engine's thread has ended: a bug or a device that is lost. The process must be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the engine's thread has ended")]
pub struct EngineGone;

/// One video to make.
pub(super) struct Work {
    pub(super) spec: VideoSpec,
    /// The stored picture, decoded.
    pub(super) input: Option<Picture>,
    pub(super) wanted: Vec<Variant>,
    pub(super) progress: Arc<Progress>,
}

/// A finished video.
pub(super) struct Made {
    pub(super) files: Vec<MadeFile>,
    /// About the prompt, which only the tokenizer could judge.
    pub(super) warnings: Vec<Warning>,
    pub(super) timings: Timings,
    pub(super) cost: Cost,
}

/// A file, ready to be stored.
pub(super) struct MadeFile {
    pub(super) asset: Asset,
    pub(super) bytes: Bytes,
}

/// The handle of the thread. Dropping it lets the thread end after its current job.
pub(super) struct EngineThread {
    commands: mpsc::Sender<Command>,
    told: Arc<Mutex<Told>>,
}

/// What the thread lets others know.
#[derive(Default)]
struct Told {
    /// The models whose transformers are in memory.
    resident: Vec<ModelId>,
    /// What was done about memory and not yet passed on.
    moves: Vec<Move>,
    /// Models loaded, as far as the server may not know of them yet.
    loads: Vec<ModelLoad>,
    /// Loads since the start.
    loaded: u64,
}

impl Told {
    fn loaded(&mut self, model: &ModelId, seconds: f64) {
        self.loaded += 1;
        self.loads.push(ModelLoad { number: self.loaded, model: model.clone(), seconds });
    }
}

enum Command {
    Load(ModelId, oneshot::Sender<Result<(), Failure>>),
    Unload(ModelId, oneshot::Sender<Result<(), Failure>>),
    Make(Box<Work>, Span, oneshot::Sender<Result<Made, Failure>>),
}

impl EngineThread {
    /// Starts the thread; it opens the device with its first command.
    pub(super) fn start(
        device: DeviceName,
        library: Library,
        settings: Settings,
    ) -> Result<Self, EngineGone> {
        let (commands, queue) = mpsc::channel();
        let told = Arc::<Mutex<Told>>::default();
        let mut engine = Engine {
            device,
            library,
            settings,
            pipeline: None,
            front: None,
            seen: Vec::new(),
            process: ProcessMemory::on(device),
            told: told.clone(),
        };
        let thread = std::thread::Builder::new().name("engine".to_owned());
        thread.spawn(move || engine.serve(&queue)).map_err(|_| EngineGone)?;
        Ok(Self { commands, told })
    }

    /// Loads a model before it is asked for. A failure is logged here and met again by the first job.
    pub(super) async fn load(&self, model: ModelId) -> Result<Result<(), Failure>, EngineGone> {
        self.ask(|done| Command::Load(model, done)).await
    }

    /// Lets a model go: the device has the memory back that no other model in it needs.
    pub(super) async fn unload(&self, model: ModelId) -> Result<Result<(), Failure>, EngineGone> {
        self.ask(|done| Command::Unload(model, done)).await
    }

    /// Makes one video.
    pub(super) async fn make(&self, work: Work) -> Result<Result<Made, Failure>, EngineGone> {
        self.ask(|done| Command::Make(Box::new(work), Span::current(), done)).await
    }

    /// Sends a command and waits for what becomes of it.
    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, EngineGone> {
        let (done, answer) = oneshot::channel();
        self.commands.send(command(done)).map_err(|_| EngineGone)?;
        answer.await.map_err(|_| EngineGone)
    }

    /// The models in memory.
    pub(super) fn resident(&self) -> Vec<ModelId> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).resident.clone()
    }

    /// What was done about memory since the last call.
    pub(super) fn take_moves(&self) -> Vec<Move> {
        std::mem::take(&mut self.told.lock().unwrap_or_else(PoisonError::into_inner).moves)
    }
}

impl EngineThread {
    /// The loads that the server may not know of.
    pub(super) fn loads(&self) -> Vec<ModelLoad> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).loads.clone()
    }

    /// The server knows of these.
    pub(super) fn confirm(&self, loads: &[ModelLoad]) {
        let known = loads.iter().map(|load| load.number).max().unwrap_or(0);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.loads.retain(|load| load.number > known);
    }
}

struct Engine {
    device: DeviceName,
    library: Library,
    settings: Settings,
    pipeline: Option<Pipeline>,
    /// The model that the pipeline works with, unless it was unloaded or could not be loaded.
    front: Option<ModelId>,
    /// Every model that was asked for.
    seen: Vec<Model>,
    /// What the driver says of this process.
    process: ProcessMemory,
    told: Arc<Mutex<Told>>,
}

impl Engine {
    fn serve(&mut self, queue: &mpsc::Receiver<Command>) {
        loop {
            let command = match queue.recv_timeout(REST_AFTER) {
                Ok(command) => command,
                Err(RecvTimeoutError::Timeout) => {
                    self.rest();
                    let Ok(command) = queue.recv() else { return };
                    command
                }
                Err(RecvTimeoutError::Disconnected) => return,
            };
            match command {
                // Nobody waits for an answer any more if the worker is ending.
                Command::Load(model, done) => {
                    let loaded = self.load(&model).map(|seconds| {
                        seconds.into_iter().for_each(|seconds| self.count(&model, seconds));
                    });
                    if let Err(failure) = &loaded {
                        warn!(%model, "the model cannot be loaded: {}", failure.message);
                    }
                    done.send(loaded).ok();
                }
                Command::Unload(model, done) => {
                    let unloaded = self.unload(&model);
                    if let Err(failure) = &unloaded {
                        warn!(%model, "the model cannot be unloaded: {}", failure.message);
                    }
                    done.send(unloaded).ok();
                }
                Command::Make(work, span, done) => {
                    let _entered = span.entered();
                    let made = self.make(&work);
                    if let Err(failure) = &made {
                        warn!(code = failure.code.as_str(), "no video: {}", failure.message);
                    }
                    done.send(made).ok();
                }
            }
        }
    }

    /// Others may have what jobs computed in while there is none.
    fn rest(&mut self) {
        let Some(pipeline) = &mut self.pipeline else { return };
        if let Err(error) = pipeline.rest() {
            // A device that fails here fails the next job, which says so.
            warn!("memory that no job needs was not given back: {error}");
        }
    }

    /// Brings the model to the front; says how long its weights took to come, unless they were in memory.
    fn load(&mut self, model: &ModelId) -> Result<Option<f64>, Failure> {
        let failed = |why: String| Failure::new(FailureCode::ModelLoadFailed, FailureClass::Infra, why);
        if self.turned_to(model) {
            return Ok(None);
        }
        let began = Instant::now();
        let found = match self.seen.iter().find(|seen| seen.id() == model) {
            Some(found) => found.clone(),
            None => self.library.find(model.as_str()).map_err(|error| failed(error.to_string()))?,
        };
        let held = self.pipeline.as_ref().is_some_and(|pipeline| pipeline.holds(&found));
        self.front = None;
        let outcome = match &mut self.pipeline {
            Some(pipeline) => pipeline.turn_to(&found),
            None => {
                let device = self.device.to_string().parse();
                let device = device.map_err(|error| Failure::of(EngineError::Operator(error), None, None))?;
                Pipeline::open_with(&found, &device, self.settings).map(|opened| self.pipeline = Some(opened))
            }
        };
        if !self.seen.iter().any(|seen| seen.id() == model) {
            self.seen.push(found);
        }
        self.tell();
        outcome.map_err(|error| Failure::of(error, None, None))?;
        self.front = Some(model.clone());
        let seconds = began.elapsed().as_secs_f64();
        info!(%model, device = %self.device, seconds, held, "model loaded");
        Ok((!held).then_some(seconds))
    }

    /// Lets the model's networks go, but for those that another model in memory works with.
    fn unload(&mut self, model: &ModelId) -> Result<(), Failure> {
        let Some(pipeline) = &mut self.pipeline else { return Ok(()) };
        let (found, others): (Vec<_>, Vec<_>) = self.seen.iter().partition(|seen| seen.id() == model);
        let staying: Vec<&Model> = others.into_iter().filter(|other| pipeline.holds(other)).collect();
        let outcome = found.into_iter().try_for_each(|model| pipeline.let_go(model, &staying));
        if self.front.as_ref() == Some(model) {
            self.front = None;
        }
        self.tell();
        outcome.map_err(|error| Failure::of(error, None, None))?;
        info!(%model, device = %self.device, "model unloaded");
        Ok(())
    }

    /// Notes a load for the server.
    fn count(&self, model: &ModelId, seconds: f64) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).loaded(model, seconds);
    }

    /// Lets others know what is in memory now.
    fn tell(&mut self) {
        let Some(pipeline) = &mut self.pipeline else { return };
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let held = self.seen.iter().filter(|model| pipeline.holds(model));
        told.resident = held.map(|model| model.id().clone()).collect();
        told.moves.extend(pipeline.take_moves());
    }

    /// Makes the video; what had to be loaded for it counts as one load, whatever becomes of it.
    fn make(&mut self, work: &Work) -> Result<Made, Failure> {
        let mut loading = None;
        let made = self.make_loading(work, &mut loading);
        if let Some(seconds) = loading {
            self.count(&work.spec.model, seconds);
        }
        made
    }

    fn make_loading(&mut self, work: &Work, loading: &mut Option<f64>) -> Result<Made, Failure> {
        let Work { spec, progress, .. } = work;
        let mut clock = StageClock::default();
        clock.enter(Stage::Preparing);
        let first_frame = work.input.as_ref().map(|picture| first_frame(picture, spec));
        if !self.turned_to(&spec.model) {
            clock.enter(Stage::LoadingModel);
            progress.enter(Stage::LoadingModel);
            let loaded = self.load(&spec.model);
            *loading = loaded.map_err(|failure| failure.after(Cost::default(), clock.read()))?;
        }
        let timings = clock.read();
        let pipeline = self.pipeline.as_mut().expect("loaded above");
        let publisher = Publisher::new(spec, &work.wanted);
        let mut watcher = Watcher { progress, publisher, broken: None, frames: spec.frames.get(), clock };
        pipeline.device().forget_peak();
        let computing = Instant::now();
        let generated = pipeline.generate(spec, first_frame.as_ref(), &mut watcher);
        let mut cost = Cost {
            gpu_seconds: computing.elapsed().as_secs_f64(),
            gpu_count: 1,
            prompt_tokens: None,
            peak_memory_bytes: peak_memory(pipeline, &self.process, spec),
        };
        let Watcher { publisher, broken, mut clock, .. } = watcher;
        let max_prompt_tokens = pipeline.max_prompt_tokens();
        self.tell();
        let generated = match generated {
            Ok(generated) => generated,
            Err(error) => {
                let reached = clock.read();
                let before = timings.model_load.unwrap_or(0.0);
                let further = reached.model_load.unwrap_or(0.0) - before;
                cost.gpu_seconds -= further;
                *loading = sum(*loading, Some(further).filter(|further| *further > 0.0));
                return Err(Failure::of(error, broken, progress.halted()).after(cost, reached));
            }
        };
        let computed = generated.timings;
        // What had to be loaded first is not charged.
        cost.gpu_seconds -= computed.model_load.unwrap_or(0.0);
        *loading = sum(*loading, computed.model_load);
        cost.prompt_tokens = Some(generated.prompt_tokens);
        let muxing = Instant::now();
        clock.enter(Stage::Muxing);
        progress.enter(Stage::Muxing);
        let files = publisher.finish().map_err(|failure| failure.after(cost, clock.read()))?;
        let warning = Warning::of_prompt_length(generated.prompt_length, max_prompt_tokens);
        let timings = Timings {
            prepare: timings.prepare,
            model_load: sum(timings.model_load, computed.model_load),
            mux: Some(muxing.elapsed().as_secs_f64()),
            ..computed
        };
        Ok(Made { files, warnings: warning.into_iter().collect(), timings, cost })
    }

    fn turned_to(&self, model: &ModelId) -> bool {
        self.front.as_ref() == Some(model)
    }
}

/// The most device memory that the clip just made needed for itself, 0 where there is none: what the process takes now, and
/// what it has given back since it took the most, without networks of others.
fn peak_memory(pipeline: &Pipeline, process: &ProcessMemory, spec: &VideoSpec) -> u64 {
    let (Some(now), Ok(Some(pool))) = (process.bytes(), pipeline.device().pool()) else { return 0 };
    (now + pool.reserved_peak - pool.reserved).saturating_sub(pipeline.bytes_of_others(spec))
}

/// The stored picture, brought to the size of the video.
fn first_frame(picture: &Picture, spec: &VideoSpec) -> Picture {
    // An adaptive size has the picture's own shape already.
    fit(picture, spec.size, spec.image_fit.unwrap_or(ImageFit::Stretch))
}

/// Both, as far as there are any.
fn sum(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    one.map(|one| one + other.unwrap_or(0.0)).or(other)
}

/// Measures the stages of a job that may be stopped in any of them.
#[derive(Default)]
struct StageClock {
    ended: Timings,
    running: Option<(Stage, Instant)>,
}

impl StageClock {
    /// One stage ends, the next begins.
    fn enter(&mut self, stage: Stage) {
        self.ended = self.read();
        self.running = Some((stage, Instant::now()));
    }

    /// Seconds until now, those of the running stage included.
    fn read(&self) -> Timings {
        let mut timings = self.ended;
        if let Some((stage, began)) = self.running {
            timings.note(stage, began.elapsed().as_secs_f64());
        }
        timings
    }
}

/// Carries what the engine tells to the progress, and the frames to the encoder.
struct Watcher<'a> {
    progress: &'a Progress,
    publisher: Publisher,
    /// Why the frames could not be taken.
    broken: Option<Failure>,
    /// Of the whole clip.
    frames: u32,
    clock: StageClock,
}

impl Listener for Watcher<'_> {
    fn stage(&mut self, stage: Stage) {
        self.clock.enter(stage);
        self.progress.enter(stage);
    }

    fn step(&mut self, done: u32, of: u32) {
        self.progress.part(Stage::Denoising, done, of);
    }

    fn wants_picture(&self, frame: u32) -> bool {
        self.publisher.wants_picture(frame)
    }

    fn frames(&mut self, frames: Vec<Frame>) -> Result<(), Stop> {
        if let Err(error) = self.publisher.push(frames) {
            self.broken = Some(Failure::new(
                FailureCode::EncodingFailed,
                FailureClass::Deterministic,
                error.to_string(),
            ));
            return Err(Stop);
        }
        self.progress.part(Stage::Decoding, self.publisher.frames(), self.frames);
        Ok(())
    }

    fn cancelled(&self) -> bool {
        self.progress.halted().is_some()
    }
}
