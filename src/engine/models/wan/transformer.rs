//! Noisy latent, time and text to the velocity that the sampler follows.

use kernels::head::head;
use kernels::linear::{Epilogue, Linear, linear};
use kernels::modulation::modulation;
use kernels::patchify::{patchify, unpatchify};
use kernels::rms_norm_rope::RopeTable;
use kernels::time_embedding::{TimeEmbedding, time_embedding};
use kernels::{DType, Device, Tensor};

use super::WanConfig;
use super::block::{Block, TextKeys};
use super::config::PATCH;
use crate::domain::linear::LinearCompute;
use crate::engine::attention::Attention;
use crate::engine::error::EngineError;
use crate::engine::models::loader::Loader;
use crate::engine::weights::WeightSource;

/// A transformer on a device.
pub struct Wan {
    config: WanConfig,
    device: Device,
    patch_embedding: Linear,
    text_embedding: [Linear; 2],
    time: TimeEmbedding,
    blocks: Vec<Block>,
    /// `[2, d]` float32.
    head_modulation: Tensor,
    head: Linear,
    /// The angles of the last grid.
    rope: Option<([usize; 3], RopeTable)>,
}

/// What cross-attention sees of a text: the same at every time step, so computed once a job.
pub struct TextContext(Vec<TextKeys>);

/// What goes into one evaluation.
#[derive(Clone, Copy)]
pub struct Step<'a> {
    /// `[16, T, H, W]`.
    pub latent: &'a Tensor,
    /// Mask and picture latent, `[20, T, H, W]`; needed by the models that take a picture.
    pub condition: Option<&'a Tensor>,
    /// As the network sees it, 0 to 1000.
    pub timestep: f32,
    pub text: &'a TextContext,
    pub attention: Attention,
}

impl Wan {
    /// Reads every weight onto `device`; those of the blocks' linear layers in the format `linear`.
    pub fn load(
        config: &WanConfig,
        source: &dyn WeightSource,
        device: &Device,
        linear: LinearCompute,
    ) -> Result<Self, EngineError> {
        let WanConfig { dim, num_heads, .. } = *config;
        if num_heads == 0 || !dim.is_multiple_of(num_heads) || !config.head_dim().is_multiple_of(2) {
            return Err(EngineError::Model(format!("{dim} channels in {num_heads} heads")));
        }
        let loader = Loader::new(source, device).computing(linear);
        let loader = if config.is_narrow() { loader.in_float32() } else { loader };
        let patch: usize = PATCH.iter().product();
        let blocks = (0..config.num_layers).map(|layer| Block::load(config, &loader.at("blocks").at(layer)));
        Ok(Self {
            patch_embedding: loader.at("patch_embedding").linear(patch * config.in_dim, dim)?,
            text_embedding: [
                loader.at("text_embedding.0").linear(config.text_dim, dim)?,
                loader.at("text_embedding.2").linear(dim, dim)?,
            ],
            time: TimeEmbedding {
                first: loader.at("time_embedding.0").linear(config.freq_dim, dim)?,
                second: loader.at("time_embedding.2").linear(dim, dim)?,
                projection: loader.at("time_projection.1").linear(dim, 6 * dim)?,
            },
            blocks: blocks.collect::<Result<_, _>>()?,
            head_modulation: loader.float("head.modulation", &[1, 2, dim])?.reshape(&[2, dim])?,
            head: loader.at("head.head").linear(dim, patch * config.out_dim)?,
            rope: None,
            config: config.clone(),
            device: device.clone(),
        })
    }

    /// Prepares a text of `[text_len, text_dim]`, padding included, for every layer.
    pub fn read(&self, text: &Tensor) -> Result<TextContext, EngineError> {
        let [first, second] = &self.text_embedding;
        // A narrow text encoder's float32 is this network's only if it is narrow itself.
        let text = if self.config.is_narrow() { text.clone() } else { text.to_activations()? };
        let h = linear(&text, first, Epilogue::GeluTanh)?; // (text, d)
        let context = linear(&h, second, Epilogue::None)?; // (text, d)
        let keys = self.blocks.iter().map(|block| block.read(&context));
        Ok(TextContext(self.device.apart(|| keys.collect::<Result<_, _>>())?))
    }

    /// The velocity `[16, T, H, W]` in float32.
    pub fn velocity(&mut self, step: &Step) -> Result<Tensor, EngineError> {
        let parts: Vec<&Tensor> = [step.latent].into_iter().chain(step.condition).collect();
        let &[_, frames, height, width] = step.latent.shape() else {
            return Err(EngineError::Request(format!("a latent of {:?}", step.latent.shape())));
        };
        let size = [frames, height, width];
        let epsilon = self.config.eps as f32;
        self.prepare_rope(size)?;
        let Some((_, rope)) = &self.rope else { unreachable!("the table was prepared in the line above") };

        let dtype = if self.config.is_narrow() { DType::F32 } else { self.device.activations() };
        let tokens = patchify(&parts, PATCH, dtype)?; // (tokens, channels · 4)
        let mut x = linear(&tokens, &self.patch_embedding, Epilogue::None)?; // (tokens, d)
        let time = time_embedding(step.timestep, &self.time)?;
        for (block, text) in self.blocks.iter().zip(&step.text.0) {
            x = block.forward(x, &time.rows, text, rope, step.attention)?; // (tokens, d)
        }
        let shift_scale = modulation(&self.head_modulation, &time.embedding)?; // (2, d)
        let x = head(&x, &shift_scale, &self.head, epsilon)?; // (tokens, 4 · 16)
        Ok(unpatchify(&x, size, PATCH)?) // (16, T, H, W)
    }

    /// Lets go of all that was made besides the weights.
    pub(in crate::engine) fn forget_work(&mut self) {
        self.rope = None;
    }

    fn prepare_rope(&mut self, size: [usize; 3]) -> Result<(), EngineError> {
        let grid = [0, 1, 2].map(|axis| size[axis] / PATCH[axis]);
        if self.rope.as_ref().is_none_or(|(known, _)| *known != grid) {
            let table = self.device.apart(|| RopeTable::new(grid, self.config.head_dim(), &self.device))?;
            self.rope = Some((grid, table));
        }
        Ok(())
    }
}
