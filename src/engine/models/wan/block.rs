//! One layer of the transformer: self-attention, cross-attention to the text, and a feed-forward network. The first and
//! last are shifted, scaled and gated by the time step.

use kernels::attention::attention;
use kernels::layer_norm_modulate::{layer_norm_affine, layer_norm_modulate};
use kernels::linear::{Epilogue, Linear, linear, linear_gelu};
use kernels::modulation::modulation;
use kernels::rms_norm_rope::{RopeTable, rms_norm_rope};
use kernels::{Matrix, Tensor};

use super::WanConfig;
use crate::engine::attention::{Attention, LinearBranch};
use crate::engine::error::EngineError;
use crate::engine::models::loader::Loader;

pub(super) struct Block {
    epsilon: f32,
    heads: usize,
    /// `[6, d]` float32: shift, scale, gate of self-attention, then of the feed-forward network.
    modulation: Tensor,
    self_attn: Projections,
    branch: Option<LinearBranch>,
    norm3: (Tensor, Tensor),
    cross_attn: Projections,
    ffn: [Linear; 2],
}

/// Keys and values of the text, each `[text, d]`.
pub(super) struct TextKeys {
    k: Tensor,
    v: Tensor,
}

/// The linear layers and norms of an attention.
struct Projections {
    q: Linear,
    k: Linear,
    v: Linear,
    o: Linear,
    norm_q: Tensor,
    norm_k: Tensor,
}

impl Block {
    pub(super) fn load(config: &WanConfig, loader: &Loader) -> Result<Self, EngineError> {
        let WanConfig { dim, ffn_dim, .. } = *config;
        let projection = loader.at("self_attn.attn_op.local_attn.proj_l");
        let branch = |projection: Loader| -> Result<LinearBranch, EngineError> {
            let head_dim = config.head_dim();
            Ok(LinearBranch {
                weight: projection.tensor("weight", &[head_dim, head_dim])?,
                bias: projection.tensor("bias", &[head_dim])?,
            })
        };
        Ok(Self {
            epsilon: config.eps as f32,
            heads: config.num_heads,
            modulation: loader.float("modulation", &[1, 6, dim])?.reshape(&[6, dim])?,
            self_attn: Projections::load(dim, &loader.at("self_attn"))?,
            branch: projection.contains("weight").then(|| branch(projection)).transpose()?,
            norm3: (loader.float("norm3.weight", &[dim])?, loader.float("norm3.bias", &[dim])?),
            cross_attn: Projections::load(dim, &loader.at("cross_attn"))?,
            ffn: [
                loader.at("ffn.0").block_linear(dim, ffn_dim)?,
                loader.at("ffn.2").block_linear(ffn_dim, dim)?,
            ],
        })
    }

    /// Keys and values of a text of `[text, d]`.
    pub(super) fn read(&self, text: &Tensor) -> Result<TextKeys, EngineError> {
        let Projections { k, v, norm_k, .. } = &self.cross_attn;
        let k = linear(text, k, Epilogue::None)?; // (text, d)
        Ok(TextKeys {
            k: rms_norm_rope(&k, norm_k, self.epsilon, None)?, // (text, d)
            v: linear(text, v, Epilogue::None)?,               // (text, d)
        })
    }

    /// `x` `[tokens, d]` and the time step's `[6, d]`; gives `[tokens, d]`. What is not needed any more is let go at once:
    /// these tensors are most of the memory that a step computes in.
    pub(super) fn forward(
        &self,
        mut x: Tensor,
        time: &Tensor,
        text: &TextKeys,
        rope: &RopeTable,
        attention: Attention,
    ) -> Result<Tensor, EngineError> {
        let rows = modulation(&self.modulation, time)?; // (6, d)
        let row = |index| rows.row(index); // (d)

        let format = self.self_attn.q.format();
        let h = layer_norm_modulate(&x, &row(0)?, &row(1)?, self.epsilon, format)?; // (tokens, d)
        let y = self.self_attention(h, rope, attention)?; // (tokens, d)
        let epilogue = Epilogue::GatedResidual { gate: &row(2)?, residual: &x };
        x = linear(&y, &self.self_attn.o, epilogue)?; // (tokens, d)
        drop(y);

        let format = self.cross_attn.q.format();
        let h = layer_norm_affine(&x, &self.norm3.0, &self.norm3.1, self.epsilon, format)?; // (tokens, d)
        let y = self.cross_attention(h, text)?; // (tokens, d)
        x = linear(&y, &self.cross_attn.o, Epilogue::Residual(&x))?; // (tokens, d)
        drop(y);

        let [first, second] = &self.ffn;
        let mut h = layer_norm_modulate(&x, &row(3)?, &row(4)?, self.epsilon, first.format())?; // (tokens, d)
        h = linear_gelu(&h, first, second.format())?; // (tokens, f)
        let epilogue = Epilogue::GatedResidual { gate: &row(5)?, residual: &x };
        Ok(linear(&h, second, epilogue)?) // (tokens, d)
    }

    fn self_attention(&self, h: Matrix, rope: &RopeTable, kind: Attention) -> Result<Tensor, EngineError> {
        let Projections { q, k, v, norm_q, norm_k, .. } = &self.self_attn;
        let mut q = linear(&h, q, Epilogue::None)?; // (tokens, d)
        q = rms_norm_rope(&q, norm_q, self.epsilon, Some(rope))?; // (tokens, d)
        let mut k = linear(&h, k, Epilogue::None)?; // (tokens, d)
        k = rms_norm_rope(&k, norm_k, self.epsilon, Some(rope))?; // (tokens, d)
        let v = linear(&h, v, Epilogue::None)?; // (tokens, d)
        drop(h);
        kind.run([&q, &k, &v], self.heads, self.branch.as_ref()) // (tokens, d)
    }

    fn cross_attention(&self, h: Matrix, text: &TextKeys) -> Result<Tensor, EngineError> {
        let Projections { q, norm_q, .. } = &self.cross_attn;
        let mut q = linear(&h, q, Epilogue::None)?; // (tokens, d)
        drop(h);
        q = rms_norm_rope(&q, norm_q, self.epsilon, None)?; // (tokens, d)
        Ok(attention(&q, &text.k, &text.v, self.heads)?) // (tokens, d)
    }
}

impl Projections {
    fn load(dim: usize, loader: &Loader) -> Result<Self, EngineError> {
        Ok(Self {
            q: loader.at("q").block_linear(dim, dim)?,
            k: loader.at("k").block_linear(dim, dim)?,
            v: loader.at("v").block_linear(dim, dim)?,
            o: loader.at("o").block_linear(dim, dim)?,
            norm_q: loader.float("norm_q.weight", &[dim])?,
            norm_k: loader.float("norm_k.weight", &[dim])?,
        })
    }
}
