//! One model on one device, from a specification to frames. Holds what stays the same between clips; owns no thread and
//! never touches files once it is open.

use std::collections::VecDeque;
use std::time::Instant;

use kernels::rgb8::rgb8;
use kernels::sla_mask::BlockSize;
use kernels::{DType, Device, Tensor};

use super::attention::Attention;
use super::error::EngineError;
use super::experts::Experts;
use super::listener::Listener;
use super::models::umt5::Umt5;
use super::models::vae::{Clip, Decoder, Encoder};
use super::models::wan::{LATENT_CHANNELS, MASK_CHANNELS, Step};
use super::sampler::{Noise, Rcm, Schedule};
use super::text::Tokenizer;
use super::weights::Model;
use crate::domain::picture::Picture;
use crate::domain::stage::{Stage, Timings};
use crate::domain::video::{AttentionType, Operation, VideoSpec};

/// Texts whose embeddings are kept: enough for a caller who tries seeds on a few prompts.
const REMEMBERED_TEXTS: usize = 8;

/// Latent frames that are decoded at once: the first picture comes early, and what a chunk computes twice (the norm of
/// the two frames in front of it) stays small.
const LATENTS_PER_CHUNK: usize = 2;

/// Pixels of a latent's side.
const LATENT_SIDE: usize = 8;

/// One model on one device.
pub struct Pipeline {
    model: Model,
    pub(super) device: Device,
    pub(super) tokenizer: Tokenizer,
    pub(super) text_encoder: Umt5,
    texts: VecDeque<Text>,
    /// `None` only after they could not be read again in another format.
    experts: Option<Experts>,
    encoder: Option<Encoder>,
    decoder: Decoder,
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
    pub(super) prompt: String,
    tokens: usize,
    /// Of the whole prompt.
    all_tokens: usize,
    /// `[text_len, text_dim]`.
    pub(super) embedding: Tensor,
}

impl Pipeline {
    /// Reads every weight of `model` onto `device`.
    pub fn open(model: &Model, device: &Device) -> Result<Self, EngineError> {
        let architecture = model.architecture();
        if let Some(problem) = architecture.problem() {
            return Err(EngineError::Model(problem));
        }
        let vae = model.vae()?;
        let takes_picture = architecture.transformer.in_dim > LATENT_CHANNELS;
        let encoder = || Encoder::load(&architecture.vae, &*vae, device);
        Ok(Self {
            tokenizer: model.tokenizer()?,
            text_encoder: Umt5::load(&architecture.text_encoder, &*model.text_encoder()?, device)?,
            texts: VecDeque::new(),
            experts: Some(Experts::load(model, device, false)?),
            encoder: takes_picture.then(encoder).transpose()?,
            decoder: Decoder::load(&architecture.vae, &*vae, device)?,
            model: model.clone(),
            device: device.clone(),
        })
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
        if !self.is_ready(spec) {
            listener.stage(Stage::LoadingModel);
            let began = Instant::now();
            self.prepare(spec)?;
            timings.model_load = Some(began.elapsed().as_secs_f64());
        }

        listener.stage(Stage::EncodingText);
        let began = Instant::now();
        let text = self.read(&spec.effective_prompt)?;
        timings.text_encode = Some(began.elapsed().as_secs_f64());

        let condition = match first_frame {
            Some(picture) => {
                listener.stage(Stage::EncodingImage);
                let began = Instant::now();
                let condition = self.condition(spec, Some(picture))?;
                timings.image_encode = Some(began.elapsed().as_secs_f64());
                condition
            }
            None => self.condition(spec, None)?,
        };

        listener.stage(Stage::Denoising);
        let began = Instant::now();
        let latent = self.denoise(spec, &text, condition.as_ref(), attention, listener)?;
        timings.denoise = Some(began.elapsed().as_secs_f64());

        listener.stage(Stage::Decoding);
        let began = Instant::now();
        self.decode(spec, &latent, listener)?;
        timings.decode = Some(began.elapsed().as_secs_f64());
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

    /// Whether the transformers are in the number format that is asked for.
    fn is_ready(&self, spec: &VideoSpec) -> bool {
        self.experts.as_ref().is_some_and(|experts| experts.serve(spec.quant_linear))
    }

    /// Brings the transformers into the number format that is asked for.
    pub(super) fn prepare(&mut self, spec: &VideoSpec) -> Result<(), EngineError> {
        if !self.is_ready(spec) {
            // The old ones go first: both may not fit.
            self.experts = None;
            self.experts = Some(Experts::load(&self.model, &self.device, spec.quant_linear)?);
        }
        Ok(())
    }

    pub(super) fn experts_mut(&mut self) -> Result<&mut Experts, EngineError> {
        self.experts.as_mut().ok_or_else(|| EngineError::Model("no transformer".into()))
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
            if self.encoder.is_none() {
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
            AttentionType::SageSla => Attention::SageSla { blocks, ratio },
        })
    }

    pub(super) fn read(&mut self, prompt: &str) -> Result<Text, EngineError> {
        if let Some(at) = self.texts.iter().position(|text| text.prompt == prompt) {
            let text = self.texts.remove(at);
            self.texts.extend(text);
        } else {
            let broken = |error| EngineError::Request(format!("{error}"));
            let encoded = self.tokenizer.encode(prompt).map_err(broken)?;
            let is_text: Vec<bool> = (0..encoded.ids.len()).map(|at| at < encoded.tokens).collect();
            let embedding = self.text_encoder.encode(&encoded.ids, &is_text)?; // (text_len, text_dim)
            self.texts.push_back(Text {
                prompt: prompt.to_owned(),
                tokens: encoded.tokens,
                all_tokens: encoded.all_tokens,
                embedding,
            });
        }
        if self.texts.len() > REMEMBERED_TEXTS {
            self.texts.pop_front();
        }
        self.texts.back().cloned().ok_or(EngineError::InvalidOutput("the text encoder"))
    }

    /// Mask and picture latent `[4 + 16, T, h, w]`; zeros without a picture, nothing if the model takes none.
    pub(super) fn condition(
        &self,
        spec: &VideoSpec,
        picture: Option<&Picture>,
    ) -> Result<Option<Tensor>, EngineError> {
        let Some(encoder) = &self.encoder else { return Ok(None) };
        let [frames, height, width] = latent_size(spec);
        let channels = MASK_CHANNELS + LATENT_CHANNELS;
        let (volume, plane) = (frames * height * width, height * width);
        let mut condition = vec![0.0; channels * volume];
        if let Some(picture) = picture {
            for channel in 0..MASK_CHANNELS {
                condition[channel * volume..channel * volume + plane].fill(1.0);
            }
            let latent = encoder.encode(&self.still(picture, spec.frames.get() as usize)?)?;
            condition[MASK_CHANNELS * volume..].copy_from_slice(&latent);
        }
        let shape = [channels, frames, height, width];
        Ok(Some(Tensor::from_f32(condition, &shape, DType::F32, &self.device)?))
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
        spec: &VideoSpec,
        text: &Text,
        condition: Option<&Tensor>,
        attention: Attention,
        listener: &mut dyn Listener,
    ) -> Result<Vec<f32>, EngineError> {
        let [frames, height, width] = latent_size(spec);
        let shape = [LATENT_CHANNELS, frames, height, width];
        let count = shape.iter().product();
        let device = self.device.clone();
        let experts = self.experts_mut()?;
        let schedule = Schedule::new(spec.steps.get() as usize, spec.sigma_max);
        let noise = Noise::new(u64::from(spec.seed));
        let mut state = Rcm::new(schedule.clone(), &noise.normal(0, count));
        for step in 0..schedule.steps() {
            if listener.cancelled() {
                return Err(EngineError::Cancelled);
            }
            let low_noise = schedule.is_low_noise(step, spec.boundary);
            let (wan, context) = experts.choose(low_noise, &text.prompt, &text.embedding)?;
            let latent = Tensor::from_f32(state.latent(), &shape, DType::F32, &device)?;
            let velocity = wan.velocity(&Step {
                latent: &latent,
                condition,
                timestep: schedule.network_timestep(step),
                text: context,
                attention,
            })?;
            let velocity = velocity.to_f32()?;
            if velocity.iter().any(|value| !value.is_finite()) {
                return Err(EngineError::InvalidOutput("the transformer"));
            }
            let fresh = (!spec.ode).then(|| noise.normal(step as u64 + 1, count));
            state.advance(&velocity, fresh.as_deref());
            listener.step(step as u32 + 1, schedule.steps() as u32);
        }
        Ok(state.latent())
    }

    pub(super) fn decode(
        &self,
        spec: &VideoSpec,
        latent: &[f32],
        listener: &mut dyn Listener,
    ) -> Result<(), EngineError> {
        self.decoder.decode(latent, latent_size(spec), LATENTS_PER_CHUNK, |chunk| {
            if listener.cancelled() {
                return Err(EngineError::Cancelled);
            }
            let (width, height) = (spec.size.width(), spec.size.height());
            let bytes = rgb8(&chunk)?;
            let frames = bytes.chunks_exact(width as usize * height as usize * 3);
            let pictures: Vec<Picture> = frames
                .map(|rgb| Picture::new(width, height, rgb.to_vec()))
                .collect::<Result<_, _>>()
                .map_err(|error| EngineError::Model(error.to_string()))?;
            listener.frames(&pictures).map_err(|_| EngineError::Cancelled)
        })
    }
}

/// Frames, height and width of the latent.
pub(super) fn latent_size(spec: &VideoSpec) -> [usize; 3] {
    let side = |pixels: u32| pixels as usize / LATENT_SIDE;
    [spec.frames.latent() as usize, side(spec.size.height()), side(spec.size.width())]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::model::ModelId;
    use crate::domain::size::{Resolution, Size};
    use crate::domain::video::{FrameCount, StepCount};
    use crate::engine::listener::Stop;

    /// Takes down what it is told, and cancels after a number of steps.
    #[derive(Default)]
    struct Notes {
        stages: Vec<Stage>,
        steps: Vec<(u32, u32)>,
        frames: Vec<Picture>,
        cancel_after: Option<usize>,
        stop: bool,
    }

    impl Listener for Notes {
        fn stage(&mut self, stage: Stage) {
            self.stages.push(stage);
        }
        fn step(&mut self, done: u32, of: u32) {
            self.steps.push((done, of));
        }
        fn frames(&mut self, frames: &[Picture]) -> Result<(), Stop> {
            self.frames.extend_from_slice(frames);
            if self.stop { Err(Stop) } else { Ok(()) }
        }
        fn cancelled(&self) -> bool {
            self.cancel_after.is_some_and(|steps| self.steps.len() >= steps)
        }
    }

    fn spec() -> VideoSpec {
        VideoSpec {
            model: ModelId::new("synth:wan-tiny"),
            operation: Operation::TextToVideo,
            prompt: "a red boat".into(),
            effective_prompt: "a red boat".into(),
            size: Size::new(48, 32).unwrap(),
            resolution: Resolution::P128,
            aspect_ratio: None,
            frames: FrameCount::new(9).unwrap(),
            steps: StepCount::new(2).unwrap(),
            seed: 7,
            sigma_max: 80.0,
            ode: false,
            boundary: None,
            adaptive_resolution: None,
            image_fit: None,
            attention: AttentionType::Sla,
            sla_topk: Some(0.5),
            quant_linear: false,
            normalize_prompt: false,
        }
    }

    fn open() -> Pipeline {
        Pipeline::open(&Model::synthetic("wan-tiny").unwrap(), &Device::Cpu).unwrap()
    }

    fn frames(pipeline: &mut Pipeline, spec: &VideoSpec, picture: Option<&Picture>) -> Vec<Picture> {
        let mut notes = Notes::default();
        let made = pipeline.generate(spec, picture, &mut notes).unwrap();
        assert_eq!(made.frames as usize, notes.frames.len());
        notes.frames
    }

    #[test]
    fn a_clip_is_told_in_order_and_repeats() {
        let mut pipeline = open();
        let mut notes = Notes::default();
        let made = pipeline.generate(&spec(), None, &mut notes).unwrap();
        assert_eq!(notes.stages, [Stage::EncodingText, Stage::Denoising, Stage::Decoding]);
        assert_eq!(notes.steps, [(1, 2), (2, 2)]);
        assert_eq!((made.frames, notes.frames.len()), (9, 9));
        assert!(made.prompt_tokens > 1 && made.timings.denoise.is_some() && made.timings.decode.is_some());

        assert!(frames(&mut pipeline, &spec(), None) == notes.frames, "the same specification, other frames");
        let other_seed = VideoSpec { seed: 8, ..spec() };
        assert!(frames(&mut pipeline, &other_seed, None) != notes.frames, "another seed, the same frames");
        let int8 = VideoSpec { quant_linear: true, ..spec() };
        assert!(frames(&mut pipeline, &int8, None) != notes.frames, "int8 changed nothing");
    }

    #[test]
    fn a_first_frame_changes_the_clip_and_must_fit() {
        let mut pipeline = open();
        let picture = Picture::new(48, 32, vec![200; 48 * 32 * 3]).unwrap();
        let plain = frames(&mut pipeline, &spec(), None);
        assert!(frames(&mut pipeline, &spec(), Some(&picture)) != plain);
        let small = Picture::new(32, 32, vec![200; 32 * 32 * 3]).unwrap();
        let refused = pipeline.generate(&spec(), Some(&small), &mut Notes::default());
        assert!(matches!(refused, Err(EngineError::Request(_))));
    }

    #[test]
    fn cancelling_and_stopping_end_the_clip() {
        let mut pipeline = open();
        let mut notes = Notes { cancel_after: Some(1), ..Notes::default() };
        let cancelled = pipeline.generate(&spec(), None, &mut notes);
        assert!(matches!(cancelled, Err(EngineError::Cancelled)));
        assert_eq!(notes.steps, [(1, 2)]);
        let mut notes = Notes { stop: true, ..Notes::default() };
        assert!(matches!(pipeline.generate(&spec(), None, &mut notes), Err(EngineError::Cancelled)));
        assert_eq!(notes.stages.last(), Some(&Stage::Decoding));
    }
}
