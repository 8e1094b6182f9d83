//! How many bytes the transformer computes in: the tensors that are alive at its fullest place, as its code has them.

use kernels::attention::FLOAT_SCORES;

use super::WanConfig;
use crate::domain::linear::LinearCompute;
use crate::domain::video::AttentionType;

/// Of tokens × dim at the fullest place of self-attention: the stream, queries, keys, values, the result; and the sparse
/// branch where there is one.
const ATTENTION_ROWS: usize = 5;
const SPARSE_ROWS: usize = 6;
/// What SageSLA keeps in eight bits until its sparse branch is there: queries, keys and values.
const SAGE_EIGHT_BIT_ROWS: usize = 3;
/// Of a token: cosine and sine of each pair of a head's channels, float32.
const ROPE_BYTES: usize = 4;
/// What choosing blocks, sums over chunks and a few rows in float32 take, as a part of one tensor of tokens × dim.
const SMALL_SHARE: usize = 2;

/// Bytes of an element of what layers in the format `linear` compute in, where activations have `element` bytes.
fn computed(config: &WanConfig, linear: LinearCompute, element: usize) -> usize {
    if linear == LinearCompute::Bf16 { config.element(element) } else { element }
}

/// Bytes of one evaluation over `tokens`, elements of `element` bytes. `stores_gelu_in_int8` is what the operator of that
/// name says of the device.
pub fn step_work(
    config: &WanConfig,
    tokens: usize,
    attention_type: AttentionType,
    linear: LinearCompute,
    stores_gelu_in_int8: bool,
    element: usize,
) -> usize {
    let activation = element;
    let element = computed(config, linear, activation);
    let row = config.dim * element;
    let hidden = config.ffn_dim * element;
    let eight_bits = |bytes: usize| bytes / element;
    let attention = match attention_type {
        AttentionType::Original => ATTENTION_ROWS * row,
        AttentionType::Sla => SPARSE_ROWS * row,
        AttentionType::SageSla => {
            (SPARSE_ROWS * row).max(ATTENTION_ROWS * row + SAGE_EIGHT_BIT_ROWS * eight_bits(row))
        }
    };
    let scores = if attention_type == AttentionType::Original && element > activation {
        FLOAT_SCORES.min(tokens * tokens * element)
    } else {
        0
    };
    // Into the hidden layer: the stream and its norm, in eight bits but for bfloat16; the product, and what GELU makes of it
    // in eight bits. Out of it: the stream, the hidden layer, the product, and the result where it is a pass of its own.
    let (up, down) = match linear {
        LinearCompute::Bf16 => (2 * row + hidden, 3 * row + hidden),
        LinearCompute::Int8 if stores_gelu_in_int8 => {
            (row + eight_bits(row) + eight_bits(hidden), 2 * row + eight_bits(hidden))
        }
        LinearCompute::Int8 | LinearCompute::Fp8 => {
            (row + eight_bits(row) + hidden + eight_bits(hidden), 3 * row + eight_bits(hidden))
        }
    };
    let rope = config.head_dim() * ROPE_BYTES;
    // The stream, what is added to it and the sum, as far as they are wider than the rest.
    let stream = 3 * config.dim * (config.element(activation) - element);
    tokens * (attention.max(up).max(down) + row / SMALL_SHARE + rope + stream) + scores
}

/// Bytes of what cross-attention keeps of a text.
pub fn text_keys(config: &WanConfig, linear: LinearCompute, element: usize) -> usize {
    2 * config.num_layers * config.text_len * config.dim * computed(config, linear, element)
}
