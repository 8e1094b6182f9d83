//! Token ids to one vector a token.

use kernels::embedding::embedding;
use kernels::gated_gelu::gated_gelu;
use kernels::linear::{Epilogue, Linear, linear};
use kernels::position_bias::PositionBias;
use kernels::rms_norm::rms_norm;
use kernels::text_attention::text_attention;
use kernels::{Device, Tensor};

use super::Umt5Config;
use crate::engine::error::EngineError;
use crate::engine::models::loader::Loader;
use crate::engine::weights::WeightSource;

/// Added to the mean square before its root is taken.
const EPSILON: f32 = 1e-6;

/// A text encoder on a device.
pub struct Umt5 {
    device: Device,
    dim: usize,
    heads: usize,
    token_embedding: Tensor,
    blocks: Vec<Block>,
    norm: Tensor,
    /// One table for each layer, or one for all; `[buckets, heads]` each.
    position_tables: Vec<Vec<f32>>,
    /// Position biases of the last length.
    biases: Vec<PositionBias>,
}

struct Block {
    norm1: Tensor,
    q: Linear,
    k: Linear,
    v: Linear,
    o: Linear,
    norm2: Tensor,
    gate: Linear,
    fc1: Linear,
    fc2: Linear,
}

impl Umt5 {
    /// Reads every weight onto `device`.
    pub fn load(
        config: &Umt5Config,
        source: &dyn WeightSource,
        device: &Device,
    ) -> Result<Self, EngineError> {
        let Umt5Config { vocab, dim, num_heads, num_buckets, .. } = *config;
        if num_heads == 0 || !config.dim_attn.is_multiple_of(num_heads) {
            return Err(EngineError::Model(format!("{} channels in {num_heads} heads", config.dim_attn)));
        }
        let loader = Loader::new(source, device);
        let loader = if config.is_narrow() { loader.in_float32() } else { loader };
        let layers = || (0..config.num_layers).map(|layer| loader.at("blocks").at(layer));
        let table = |loader: Loader| {
            loader.at("pos_embedding").at("embedding").host("weight", &[num_buckets, num_heads])
        };
        Ok(Self {
            device: device.clone(),
            dim,
            heads: num_heads,
            token_embedding: loader.plain("token_embedding.weight", &[vocab, dim])?,
            blocks: layers().map(|layer| Block::load(config, &layer)).collect::<Result<_, _>>()?,
            norm: loader.float("norm.weight", &[dim])?,
            position_tables: if config.shared_pos {
                vec![table(loader)?]
            } else {
                layers().map(table).collect::<Result<_, _>>()?
            },
            biases: Vec::new(),
        })
    }

    /// `ids` with padding, and which of them are text. Gives `[ids, dim]`; as many first rows as there is text are
    /// embeddings, the rest is zero.
    pub fn encode(&mut self, ids: &[u32], is_text: &[bool]) -> Result<Tensor, EngineError> {
        if ids.len() != is_text.len() {
            return Err(EngineError::Request("as many marks as ids are needed".into()));
        }
        let rows = is_text.iter().filter(|&&text| text).count();
        // What comes after the last text is a key for nobody, and its own row is thrown away.
        let positions = is_text.iter().rposition(|&text| text).map_or(0, |last| last + 1);
        let padding = |rows: usize| {
            let shape = [rows, self.dim];
            let dtype = self.token_embedding.dtype();
            Tensor::from_f32(vec![0.0; rows * self.dim], &shape, dtype, &self.device)
        };
        if positions == 0 {
            return Ok(padding(ids.len())?);
        }
        let padding = padding(ids.len() - rows)?;
        self.prepare_biases(positions)?;

        let mut x = embedding(&self.token_embedding, &ids[..positions])?; // (positions, dim)
        for (layer, block) in self.blocks.iter().enumerate() {
            let bias = &self.biases[layer.min(self.biases.len() - 1)];
            x = block.forward(&x, bias, &is_text[..positions])?; // (positions, dim)
        }
        let x = rms_norm(&x, &self.norm, EPSILON)?; // (positions, dim)
        Ok(Tensor::concat(&[&x.rows(0..rows)?, &padding])?) // (ids, dim)
    }

    /// Lets go of all that was made besides the weights.
    pub(in crate::engine) fn forget_work(&mut self) {
        self.biases.clear();
    }

    fn prepare_biases(&mut self, positions: usize) -> Result<(), EngineError> {
        if self.biases.first().is_some_and(|bias| bias.positions == positions) {
            return Ok(());
        }
        let bias = |table: &Vec<f32>| PositionBias::new(table, self.heads, positions, &self.device);
        let biases = self.position_tables.iter().map(bias);
        self.biases = self.device.apart(|| biases.collect::<Result<_, _>>())?;
        Ok(())
    }
}

impl Block {
    fn load(config: &Umt5Config, loader: &Loader) -> Result<Self, EngineError> {
        let Umt5Config { dim, dim_attn, dim_ffn, .. } = *config;
        let (attention, ffn) = (loader.at("attn"), loader.at("ffn"));
        Ok(Self {
            norm1: loader.float("norm1.weight", &[dim])?,
            q: attention.at("q").linear(dim, dim_attn)?,
            k: attention.at("k").linear(dim, dim_attn)?,
            v: attention.at("v").linear(dim, dim_attn)?,
            o: attention.at("o").linear(dim_attn, dim)?,
            norm2: loader.float("norm2.weight", &[dim])?,
            gate: ffn.at("gate").at("0").linear(dim, dim_ffn)?,
            fc1: ffn.at("fc1").linear(dim, dim_ffn)?,
            fc2: ffn.at("fc2").linear(dim_ffn, dim)?,
        })
    }

    fn forward(&self, x: &Tensor, bias: &PositionBias, is_text: &[bool]) -> Result<Tensor, EngineError> {
        let h = rms_norm(x, &self.norm1, EPSILON)?; // (positions, dim)
        let q = linear(&h, &self.q, Epilogue::None)?; // (positions, heads · head dim)
        let k = linear(&h, &self.k, Epilogue::None)?;
        let v = linear(&h, &self.v, Epilogue::None)?;
        let y = text_attention(&q, &k, &v, bias, is_text)?; // (positions, heads · head dim)
        let x = linear(&y, &self.o, Epilogue::Residual(x))?; // (positions, dim)

        let h = rms_norm(&x, &self.norm2, EPSILON)?; // (positions, dim)
        let gate = linear(&h, &self.gate, Epilogue::None)?; // (positions, ffn)
        let up = linear(&h, &self.fc1, Epilogue::None)?; // (positions, ffn)
        let y = gated_gelu(&gate, &up)?; // (positions, ffn)
        Ok(linear(&y, &self.fc2, Epilogue::Residual(&x))?) // (positions, dim)
    }
}
