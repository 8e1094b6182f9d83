//! One stage of a pipeline at a time, repeated and timed: by the device's own clock on a GPU, by the wall's on the CPU.
//! Runs exactly what a clip runs, in the same order of sizes; never a network of its own.

use kernels::{DType, KernelTime, PoolUse, Stopwatch, Tensor};

use super::course::{Course, latent_size};
use super::error::EngineError;
use super::listener::{Listener, Stop};
use super::models::wan::{LATENT_CHANNELS, Step};
use super::pipeline::{Pipeline, Text};
use super::sampler::{Noise, Schedule};
use super::weights::Expert;
use crate::domain::memory::PartKind;
use crate::domain::picture::{Frame, Picture};
use crate::domain::stage::Stage;
use crate::domain::video::VideoSpec;

/// How often a stage runs: first without, then with being timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Runs {
    pub warm_ups: usize,
    /// At least one.
    pub repeats: usize,
    /// Whether one more run is taken apart by kernel.
    pub by_kernel: bool,
}

/// A part of the work on a clip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measurable {
    /// Token ids to an embedding.
    Text,
    /// What cross-attention keeps of a text.
    TextKeys,
    /// A first frame to its latent.
    Image,
    /// One evaluation of the transformer that works at the first step.
    Step,
    /// All steps, with noise and checks.
    Sampling,
    /// A latent to bytes of frames on the host.
    Decode,
}

/// What was measured of a stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    /// One a repeat.
    pub milliseconds: Vec<f64>,
    /// Bytes of the device that were foreseen; `None` on the CPU, as is what follows.
    pub predicted: Option<u64>,
    /// Of the device's tensors over all runs.
    pub pool: Option<PoolUse>,
    /// Of one run, the longest first; empty unless asked for, and on the CPU.
    pub kernels: Vec<KernelTime>,
}

impl Measurable {
    /// Every stage, in the order of work.
    pub const ALL: [Self; 6] =
        [Self::Text, Self::TextKeys, Self::Image, Self::Step, Self::Sampling, Self::Decode];

    /// As tables name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::TextKeys => "text_keys",
            Self::Image => "image",
            Self::Step => "step",
            Self::Sampling => "sampling",
            Self::Decode => "decode",
        }
    }

    /// The network that works.
    fn network(self) -> PartKind {
        match self {
            Self::Text => PartKind::TextEncoder,
            Self::Image => PartKind::Encoder,
            Self::TextKeys | Self::Step | Self::Sampling => PartKind::Transformer,
            Self::Decode => PartKind::Decoder,
        }
    }
}

impl Pipeline {
    /// Measures one stage of the clip `spec`. A model that takes no picture has no [`Measurable::Image`]: `None`.
    pub fn measure(
        &mut self,
        stage: Measurable,
        spec: &VideoSpec,
        first_frame: Option<&Picture>,
        runs: Runs,
    ) -> Result<Option<Measurement>, EngineError> {
        let attention = self.check(spec, first_frame)?;
        let device = self.device.clone();
        let mut course = self.course(spec, first_frame.is_some())?;
        let (needs, expert) = (stage.network(), Expert::High);
        let predicted = course.bytes(Some(&course.needed(needs, expert).part.key));
        let measured = match stage {
            Measurable::Text => {
                let broken = |error| EngineError::Request(format!("{error}"));
                let encoded = self.tokenizer.encode(&spec.effective_prompt).map_err(broken)?;
                // As long as texts may be: what a short prompt takes is less.
                let is_text = vec![true; encoded.ids.len()];
                self.enter(&mut course, needs, expert, &mut Nobody)?;
                let encoder = self.residents.text_encoder(&course.needed(needs, expert))?;
                timed(&device, runs, || encoder.encode(&encoded.ids, &is_text).map(drop))
            }
            Measurable::TextKeys => {
                let Text { mut key, embedding, .. } = self.text(&mut course, &spec.effective_prompt)?;
                self.enter(&mut course, needs, expert, &mut Nobody)?;
                let transformer = self.residents.transformer(&course.needed(needs, expert))?;
                let mut run = 0;
                timed(&device, runs, || {
                    run += 1;
                    // A name not seen before is read again.
                    key.prompt = format!("{run}");
                    transformer.reading(&key, &embedding).map(drop)
                })
            }
            Measurable::Image => {
                let Some(picture) = first_frame else { return Ok(None) };
                self.enter(&mut course, needs, expert, &mut Nobody)?;
                timed(&device, runs, || self.condition(&course, spec, Some(picture)).map(drop))
            }
            Measurable::Step => {
                let text = self.text(&mut course, &spec.effective_prompt)?;
                let condition = self.conditioned(&mut course, spec, first_frame)?;
                let [frames, height, width] = latent_size(spec);
                let shape = [LATENT_CHANNELS, frames, height, width];
                let noise = Noise::new(u64::from(spec.seed)).normal(0, shape.iter().product());
                let latent = Tensor::from_f32(noise, &shape, DType::F32, &device)?;
                let timestep = Schedule::new(spec.steps.get() as usize, spec.sigma_max).network_timestep(0);
                self.enter(&mut course, needs, expert, &mut Nobody)?;
                let transformer = self.residents.transformer(&course.needed(needs, expert))?;
                let (wan, context) = transformer.reading(&text.key, &text.embedding)?;
                let condition = condition.as_ref();
                let step = Step { latent: &latent, condition, timestep, text: context, attention };
                timed(&device, runs, || wan.velocity(&step).map(drop))
            }
            Measurable::Sampling => {
                let text = self.text(&mut course, &spec.effective_prompt)?;
                let condition = self.conditioned(&mut course, spec, first_frame)?;
                timed(&device, runs, || {
                    self.denoise(&mut course, spec, &text, condition.as_ref(), attention, &mut Nobody)
                        .map(drop)
                })
            }
            Measurable::Decode => {
                let count = LATENT_CHANNELS * latent_size(spec).iter().product::<usize>();
                let latent = Noise::new(u64::from(spec.seed)).normal(0, count);
                self.enter(&mut course, needs, expert, &mut Nobody)?;
                timed(&device, runs, || self.decode(&course, spec, &latent, &mut Nobody))
            }
        }?;
        Ok(Some(Measurement { predicted: measured.pool.map(|_| predicted), ..measured }))
    }

    /// What the transformer is conditioned on, with room made for the encoder as a clip makes it.
    fn conditioned(
        &mut self,
        course: &mut Course,
        spec: &VideoSpec,
        first_frame: Option<&Picture>,
    ) -> Result<Option<Tensor>, EngineError> {
        if first_frame.is_some() {
            self.enter(course, PartKind::Encoder, Expert::High, &mut Nobody)?;
        }
        self.condition(course, spec, first_frame)
    }

    /// Bytes that a clip should take of the device besides its context, at its fullest stage; `None` on the CPU.
    pub fn predict(&self, spec: &VideoSpec, image: bool) -> Result<Option<u64>, EngineError> {
        let course = self.course(spec, image)?;
        Ok(self.device.pool()?.map(|_| course.bytes(None)))
    }
}

fn timed(
    device: &kernels::Device,
    runs: Runs,
    mut work: impl FnMut() -> Result<(), EngineError>,
) -> Result<Measurement, EngineError> {
    device.forget_peak();
    for _ in 0..runs.warm_ups {
        work()?;
    }
    let mut milliseconds = Vec::with_capacity(runs.repeats);
    for _ in 0..runs.repeats.max(1) {
        device.synchronize()?;
        let watch = Stopwatch::start(device)?;
        work()?;
        milliseconds.push(watch.milliseconds()?);
    }
    let pool = device.pool()?;
    let mut kernels = Vec::new();
    if runs.by_kernel {
        device.watch_kernels();
        work()?;
        kernels = device.watched_kernels()?;
    }
    Ok(Measurement { milliseconds, predicted: None, pool, kernels })
}

/// Watches nothing and stops nothing.
struct Nobody;

impl Listener for Nobody {
    fn stage(&mut self, _: Stage) {}
    fn step(&mut self, _: u32, _: u32) {}
    fn wants_picture(&self, _: u32) -> bool {
        false
    }
    fn frames(&mut self, _: Vec<Frame>) -> Result<(), Stop> {
        Ok(())
    }
    fn cancelled(&self) -> bool {
        false
    }
}
