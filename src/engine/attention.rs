//! Which self-attention a transformer runs. The choice is the job's; the block sizes are the model's.

use kernels::Tensor;
use kernels::attention::attention;
use kernels::sage_attention::sage_attention;
use kernels::sla_linear::{SlaLinear, sla_linear};
use kernels::sla_mask::{BlockSize, sla_mask};
use kernels::sparse_attention::sparse_attention;

use super::error::EngineError;

/// How queries meet keys.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Attention {
    /// Every query sees every key.
    Dense,
    /// Each block of queries sees the best `ratio` of the key blocks, and all keys through a linear branch.
    Sla { blocks: BlockSize, ratio: f64 },
    /// The same with 8-bit scores and values in the sparse branch.
    SageSla { blocks: BlockSize, ratio: f64 },
}

/// The learned projection of the linear branch.
#[derive(Debug, Clone)]
pub(super) struct LinearBranch {
    /// `[head dim, head dim]`.
    pub(super) weight: Tensor,
    /// `[head dim]`.
    pub(super) bias: Tensor,
}

impl Attention {
    /// `q`, `k`, `v` `[tokens, heads · head dim]`; gives the same shape. Sparse kinds need the branch.
    pub(super) fn run(
        &self,
        [q, k, v]: [&Tensor; 3],
        heads: usize,
        branch: Option<&LinearBranch>,
    ) -> Result<Tensor, EngineError> {
        let (blocks, ratio) = match *self {
            Self::Dense => return Ok(attention(q, k, v, heads)?),
            Self::Sla { blocks, ratio } | Self::SageSla { blocks, ratio } => (blocks, ratio),
        };
        let branch = branch
            .ok_or_else(|| EngineError::Request("these weights have no linear attention branch".into()))?;
        // The sparse kinds have no kernels for the float32 of narrow networks.
        let [q, k, v] = &[q.to_activations()?, k.to_activations()?, v.to_activations()?];
        let sparse = match self {
            Self::SageSla { .. } => sage_attention([q, k, v], heads, blocks, ratio)?,
            Self::Dense | Self::Sla { .. } => {
                sparse_attention(q, k, v, &sla_mask(q, k, heads, blocks, ratio)?)?
            }
        }; // (tokens, heads · head dim)
        let LinearBranch { weight, bias } = branch;
        Ok(sla_linear(&SlaLinear { q, k, v, sparse: &sparse, weight, bias })?)
    }
}
