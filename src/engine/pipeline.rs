//! Models on one device, from a specification to frames: one at a time, while the networks of others stay in memory as
//! long as they fit. Holds what stays the same between clips; owns no thread.

mod frames;
mod held;

use std::collections::VecDeque;
use std::time::Instant;

use kernels::sage_attention;
use kernels::sla_mask::BlockSize;
use kernels::{DType, Device, Tensor};
use rayon::prelude::*;

use self::frames::Frames;
use super::attention::Attention;
use super::course::{Course, Needs, Settings, latent_size};
use super::error::EngineError;
use super::listener::Listener;
use super::memory::{
    FEWEST_LATENTS_PER_CHUNK, LATENTS_PER_CHUNK, REMEMBERED_TEXTS, Residents, StageNeed, TextKey, plan,
};
use super::models::vae::Clip;
use super::models::wan::{LATENT_CHANNELS, MASK_CHANNELS, Step};
use super::sampler::{Noise, Rcm, Schedule};
use super::text::Tokenizer;
use super::weights::{Expert, Model};
use crate::domain::linear::LinearCompute;
use crate::domain::memory::{Move, PartKind};
use crate::domain::picture::Picture;
use crate::domain::stage::{Stage, Timings};
use crate::domain::video::{AttentionType, Operation, VideoSpec};

/// Models on one device.
pub struct Pipeline {
    model: Model,
    pub(super) device: Device,
    pub(super) tokenizer: Tokenizer,
    settings: Settings,
    pub(super) residents: Residents,
    texts: VecDeque<Text>,
}

/// What was made besides the frames.
#[derive(Debug, Clone, PartialEq)]
pub struct Generated {
    /// Seconds of the stages that ran here.
    pub timings: Timings,
    /// Tokens of the prompt that were read, the end mark included.
    pub prompt_tokens: u32,
    /// Tokens that the whole prompt has, also those that were cut.
    pub prompt_length: u32,
    pub frames: u32,
}

/// A prompt as cross-attention reads it.
#[derive(Clone)]
pub(super) struct Text {
    pub(super) key: TextKey,
    tokens: usize,
    /// Of the whole prompt.
    all_tokens: usize,
    /// `[text_len, text_dim]`.
    pub(super) embedding: Tensor,
    /// What the embedding is in on the device.
    dtype: DType,
}

impl Text {
    /// The embedding on `device`, with the same numbers.
    fn bring_to(&mut self, device: &Device) -> Result<(), EngineError> {
        if self.embedding.device() != *device {
            let (values, shape) = (self.embedding.to_f32()?, self.embedding.shape());
            let brought = device.apart(|| Tensor::from_f32(values, shape, self.dtype, device));
            self.embedding = brought?;
        }
        Ok(())
    }
}

impl Pipeline {
    /// Reads every weight of `model` onto `device`, as far as they fit.
    pub fn open(model: &Model, device: &Device) -> Result<Self, EngineError> {
        Self::open_with(model, device, Settings::default())
    }

    /// The same, with a limit of memory and a number format.
    pub fn open_with(model: &Model, device: &Device, settings: Settings) -> Result<Self, EngineError> {
        device.limit_memory(settings.budget.tensors());
        let mut pipeline = Self {
            tokenizer: model.tokenizer()?,
            texts: VecDeque::new(),
            residents: Residents::new(device, settings.budget.host_bytes(device)),
            model: model.clone(),
            device: device.clone(),
            settings,
        };
        pipeline.turn_to(model)?;
        Ok(pipeline)
    }

    /// Makes `model` the one that works, and reads its weights onto the device as far as they fit. What it shares with
    /// the models before stays; of these leaves what has to, the least recently used first.
    pub fn turn_to(&mut self, model: &Model) -> Result<(), EngineError> {
        if let Some(problem) = model.architecture().problem() {
            return Err(EngineError::Model(problem));
        }
        self.tokenizer = model.tokenizer()?;
        self.model = model.clone();
        let course = Course::of_model(model, self.settings, &self.device);
        let mut all = Vec::new();
        for (kind, expert) in networks(model) {
            let needed = course.needed(kind, expert);
            all.push(needed.part.clone());
            // With room for all, all come; else as many as there is room for, and the rest when a clip needs it.
            let stage = StageNeed { parts: all.clone(), work: 0, small_work: 0 };
            let budget = self.settings.budget.bytes(&self.device)?;
            let Ok(plans) = plan(budget, &self.residents.held(), &[stage]) else { break };
            for plan in &plans {
                self.residents.follow(kind, plan)?;
            }
            self.residents.load(&needed)?;
        }
        Ok(())
    }

    /// Whether every transformer of a model is on the device.
    pub fn holds(&self, model: &Model) -> bool {
        let course = Course::of_model(model, self.settings, &self.device);
        let experts = model.architecture().experts.iter();
        experts
            .map(|&expert| course.needed(PartKind::Transformer, expert).part.key)
            .all(|key| self.residents.has(&key))
    }

    /// Jobs from now on that do not ask for int8 compute in this format.
    pub fn compute_in(&mut self, linear: LinearCompute) {
        self.settings.linear = linear;
    }

    /// What was done about memory since the last call.
    pub fn take_moves(&mut self) -> Vec<Move> {
        self.residents.take_moves()
    }

    fn takes_picture(&self) -> bool {
        takes_picture(&self.model)
    }

    /// The model that works.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Where it computes.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Makes one clip. `first_frame` has the size of the clip. Equal specifications give equal frames on equal devices.
    pub fn generate(
        &mut self,
        spec: &VideoSpec,
        first_frame: Option<&Picture>,
        listener: &mut dyn Listener,
    ) -> Result<Generated, EngineError> {
        let attention = self.check(spec, first_frame)?;
        let mut timings = Timings::default();
        let mut course = self.course(spec, first_frame.is_some())?;
        let loaded_before = self.residents.load_seconds();

        if !self.remembers(&course, &spec.effective_prompt) {
            self.enter(&mut course, PartKind::TextEncoder, Expert::High, listener)?;
        }
        listener.stage(Stage::EncodingText);
        let began = Instant::now();
        let text = self.read(&course, &spec.effective_prompt)?;
        timings.text_encode = Some(began.elapsed().as_secs_f64());

        let condition = match first_frame {
            Some(picture) => {
                self.enter(&mut course, PartKind::Encoder, Expert::High, listener)?;
                listener.stage(Stage::EncodingImage);
                let began = Instant::now();
                let condition = self.condition(&course, spec, Some(picture))?;
                timings.image_encode = Some(began.elapsed().as_secs_f64());
                condition
            }
            None => self.condition(&course, spec, None)?,
        };

        let first = self.expert_at(spec, 0);
        self.enter(&mut course, PartKind::Transformer, first, listener)?;
        listener.stage(Stage::Denoising);
        let (began, loaded) = (Instant::now(), self.residents.load_seconds());
        let latent = self.denoise(&mut course, spec, &text, condition.as_ref(), attention, listener)?;
        // The other expert may have had to come in between.
        let loading = self.residents.load_seconds() - loaded;
        timings.denoise = Some((began.elapsed().as_secs_f64() - loading).max(0.0));

        self.enter(&mut course, PartKind::Decoder, Expert::High, listener)?;
        listener.stage(Stage::Decoding);
        let began = Instant::now();
        self.decode(&course, spec, &latent, listener)?;
        timings.decode = Some(began.elapsed().as_secs_f64());
        let loading = self.residents.load_seconds() - loaded_before;
        timings.model_load = (loading > 0.0).then_some(loading);
        Ok(Generated {
            timings,
            prompt_tokens: text.tokens as u32,
            prompt_length: text.all_tokens as u32,
            frames: spec.frames.get(),
        })
    }

    /// Tokens of a prompt that are read at most.
    pub fn max_prompt_tokens(&self) -> u32 {
        self.tokenizer.max_tokens() as u32
    }

    /// Plans a clip with what is in memory now.
    pub(super) fn course(&self, spec: &VideoSpec, image: bool) -> Result<Course, EngineError> {
        let of_model = Course::of_model(&self.model, self.settings, &self.device);
        let needs = Needs {
            text: !self.remembers(&of_model, &spec.effective_prompt),
            image,
            experts: (0..spec.steps.get() as usize).map(|step| self.expert_at(spec, step)).collect(),
        };
        Course::plan(&self.model, spec, &needs, self.settings, &self.residents, &self.device)
    }

    /// Makes room for a network and brings it to the device, if it is not there.
    pub(super) fn enter(
        &mut self,
        course: &mut Course,
        kind: PartKind,
        expert: Expert,
        listener: &mut dyn Listener,
    ) -> Result<(), EngineError> {
        let key = course.needed(kind, expert).part.key;
        if !self.residents.has(&key) {
            listener.stage(Stage::LoadingModel);
        }
        let plan = course.begin(&key);
        self.residents.follow(kind, &plan)?;
        // Memory is short: what the stage before computed in goes before anything that stays is put between, and before
        // this stage takes more beside it than was foreseen.
        let crowded = plan.bytes + self.idle_bytes()? > self.settings.budget.bytes(&self.device)?;
        if crowded || !plan.steps.is_empty() {
            self.device.trim()?;
        }
        self.residents.load(&course.needed(kind, expert))
    }

    /// What was taken from a GPU for tensors that are gone.
    fn idle_bytes(&self) -> Result<u64, EngineError> {
        Ok(self.device.pool()?.map_or(0, |pool| pool.reserved - pool.used))
    }

    /// Gives back what jobs computed in and what they kept for the next one, so that a device holds nothing but networks.
    /// For when no job waits: the next one takes it again.
    pub fn rest(&mut self) -> Result<(), EngineError> {
        self.residents.forget_work();
        self.texts.iter_mut().try_for_each(|text| text.bring_to(&Device::Cpu))?;
        Ok(self.device.trim()?)
    }

    /// The expert that works at a step.
    fn expert_at(&self, spec: &VideoSpec, step: usize) -> Expert {
        let schedule = Schedule::new(spec.steps.get() as usize, spec.sigma_max);
        let has_low = self.model.architecture().experts.contains(&Expert::Low);
        if has_low && schedule.is_low_noise(step, spec.boundary) { Expert::Low } else { Expert::High }
    }

    fn remembers(&self, course: &Course, prompt: &str) -> bool {
        let key = self.text_key(course, prompt);
        self.texts.iter().any(|text| text.key == key)
    }

    fn text_key(&self, course: &Course, prompt: &str) -> TextKey {
        let encoder = course.needed(PartKind::TextEncoder, Expert::High).part.key;
        TextKey { prompt: prompt.to_owned(), tokenizer: self.model.tokenizer_source(), encoder }
    }

    /// Whether this model can do what is asked; the attention that is asked for.
    pub(super) fn check(
        &self,
        spec: &VideoSpec,
        first_frame: Option<&Picture>,
    ) -> Result<Attention, EngineError> {
        let refuse = |what: &str| Err(EngineError::Request(what.to_owned()));
        let size = (spec.size.width(), spec.size.height());
        if let Some(picture) = first_frame {
            if !self.takes_picture() {
                return refuse("it takes no picture");
            }
            if (picture.width(), picture.height()) != size {
                return refuse("the first frame has not the size of the clip");
            }
        } else if !self.model.capabilities().operations.contains(&Operation::TextToVideo) {
            return refuse("it needs a first frame");
        }
        let blocks = self.model.architecture().attention;
        let blocks = BlockSize { queries: blocks.block_q, keys: blocks.block_k };
        let ratio = spec.sla_topk.unwrap_or(self.model.capabilities().default_sla_topk);
        Ok(match spec.attention {
            AttentionType::Original => Attention::Dense,
            AttentionType::Sla => Attention::Sla { blocks, ratio },
            AttentionType::SageSla => {
                Attention::SageSla { blocks: sage_attention::block_size(&self.device, blocks), ratio }
            }
        })
    }

    /// The prompt's embedding, remembered or computed.
    pub(super) fn read(&mut self, course: &Course, prompt: &str) -> Result<Text, EngineError> {
        let needed = course.needed(PartKind::TextEncoder, Expert::High);
        let key = self.text_key(course, prompt);
        if let Some(at) = self.texts.iter().position(|text| text.key == key) {
            let mut text = self.texts.remove(at).expect("it was found there");
            text.bring_to(&self.device)?;
            self.texts.push_back(text);
        } else {
            let broken = |error| EngineError::Request(format!("{error}"));
            let encoded = self.tokenizer.encode(prompt).map_err(broken)?;
            let is_text: Vec<bool> = (0..encoded.ids.len()).map(|at| at < encoded.tokens).collect();
            let encoder = self.residents.text_encoder(&needed)?;
            let embedding = encoder.encode(&encoded.ids, &is_text)?; // (text_len, text_dim)
            let embedding = self.device.apart(|| Tensor::concat(&[&embedding]))?;
            self.texts.push_back(Text {
                key,
                tokens: encoded.tokens,
                all_tokens: encoded.all_tokens,
                dtype: embedding.dtype(),
                embedding,
            });
        }
        if self.texts.len() > REMEMBERED_TEXTS {
            self.texts.pop_front();
        }
        self.texts.back().cloned().ok_or(EngineError::InvalidOutput("the text encoder"))
    }

    /// The prompt's embedding, with the text encoder brought to the device if it has to read.
    pub(super) fn text(&mut self, course: &mut Course, prompt: &str) -> Result<Text, EngineError> {
        if !self.remembers(course, prompt) {
            let needed = course.needed(PartKind::TextEncoder, Expert::High).part.key;
            self.residents.follow(PartKind::TextEncoder, &course.begin(&needed))?;
        }
        self.read(course, prompt)
    }

    /// Mask and picture latent `[4 + 16, T, h, w]`; zeros without a picture, nothing if the model takes none.
    pub(super) fn condition(
        &mut self,
        course: &Course,
        spec: &VideoSpec,
        picture: Option<&Picture>,
    ) -> Result<Option<Tensor>, EngineError> {
        if !self.takes_picture() {
            return Ok(None);
        }
        let [frames, height, width] = latent_size(spec);
        let channels = MASK_CHANNELS + LATENT_CHANNELS;
        let (volume, plane) = (frames * height * width, height * width);
        let mut condition = vec![0.0; channels * volume];
        if let Some(picture) = picture {
            for channel in 0..MASK_CHANNELS {
                condition[channel * volume..channel * volume + plane].fill(1.0);
            }
            let still = self.still(picture, spec.frames.get() as usize)?;
            let needed = course.needed(PartKind::Encoder, Expert::High);
            // No other stage computes in as much: what the last clip was in goes before, and this before what follows.
            self.device.trim()?;
            let latent = self.residents.encoder(&needed)?.encode(&still)?;
            drop(still);
            self.device.trim()?;
            condition[MASK_CHANNELS * volume..].copy_from_slice(&latent);
        }
        let shape = [channels, frames, height, width];
        let condition =
            self.device.apart(|| Tensor::from_f32(condition, &shape, DType::F32, &self.device))?;
        Ok(Some(condition))
    }

    /// The clip that a model is conditioned on: the picture, then grey.
    fn still(&self, picture: &Picture, total: usize) -> Result<Clip, EngineError> {
        let bytes = picture.rgb();
        let mut frames: Vec<f32> = bytes.iter().map(|&byte| (f32::from(byte) / 255.0 - 0.5) / 0.5).collect();
        let count = total.min(2);
        frames.resize(count * bytes.len(), 0.0);
        let shape = [count, picture.height() as usize, picture.width() as usize, 3];
        Clip::new(Tensor::from_f32(frames, &shape, self.device.activations(), &self.device)?, total)
    }

    /// The clean latent `[16, T, h, w]`.
    pub(super) fn denoise(
        &mut self,
        course: &mut Course,
        spec: &VideoSpec,
        text: &Text,
        condition: Option<&Tensor>,
        attention: Attention,
        listener: &mut dyn Listener,
    ) -> Result<Vec<f32>, EngineError> {
        let [frames, height, width] = latent_size(spec);
        let shape = [LATENT_CHANNELS, frames, height, width];
        let count = shape.iter().product();
        let schedule = Schedule::new(spec.steps.get() as usize, spec.sigma_max);
        let noise = Noise::new(u64::from(spec.seed));
        let mut state = Rcm::new(schedule.clone(), &noise.normal(0, count));
        for step in 0..schedule.steps() {
            if listener.cancelled() {
                return Err(EngineError::Cancelled);
            }
            let latent = Tensor::from_f32(state.latent(), &shape, DType::F32, &self.device)?;
            let expert = self.expert_at(spec, step);
            self.enter(course, PartKind::Transformer, expert, listener)?;
            let transformer = self.residents.transformer(&course.needed(PartKind::Transformer, expert))?;
            let (wan, context) = transformer.reading(&text.key, &text.embedding)?;
            let velocity = wan.velocity(&Step {
                latent: &latent,
                condition,
                timestep: schedule.network_timestep(step),
                text: context,
                attention,
            })?;
            // On a GPU it still runs: the noise of the next step is made meanwhile.
            let fresh = (!spec.ode).then(|| noise.normal(step as u64 + 1, count));
            let velocity = velocity.to_f32()?;
            if velocity.par_iter().any(|value| !value.is_finite()) {
                return Err(EngineError::InvalidOutput("the transformer"));
            }
            state.advance(&velocity, fresh.as_deref());
            listener.step(step as u32 + 1, schedule.steps() as u32);
        }
        Ok(state.latent())
    }

    pub(super) fn decode(
        &mut self,
        course: &Course,
        spec: &VideoSpec,
        latent: &[f32],
        listener: &mut dyn Listener,
    ) -> Result<(), EngineError> {
        let latents_per_chunk =
            if course.small_pieces { FEWEST_LATENTS_PER_CHUNK } else { LATENTS_PER_CHUNK };
        let decoder = self.residents.decoder(&course.needed(PartKind::Decoder, Expert::High))?;
        let mut frames = Frames::new(spec, listener);
        decoder.decode(latent, latent_size(spec), latents_per_chunk, |chunk| frames.push(&chunk))?;
        frames.finish()
    }
}

/// Every network of a model, in the order of work.
fn networks(model: &Model) -> Vec<(PartKind, Expert)> {
    let picture = takes_picture(model).then_some((PartKind::Encoder, Expert::High));
    let experts = model.architecture().experts.iter().map(|&expert| (PartKind::Transformer, expert));
    let text = (PartKind::TextEncoder, Expert::High);
    [text].into_iter().chain(picture).chain(experts).chain([(PartKind::Decoder, Expert::High)]).collect()
}

fn takes_picture(model: &Model) -> bool {
    model.architecture().transformer.in_dim > LATENT_CHANNELS
}

#[cfg(test)]
mod tests;
