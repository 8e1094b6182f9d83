//! How many bytes the text encoder computes in.

use super::Umt5Config;

/// Of positions × hidden width: gate, up and their product.
const HIDDEN_ROWS: usize = 3;
/// Of positions × width: the stream before, between and after, both norms, queries, keys, values, what attention gave.
const ROWS: usize = 9;

/// Bytes of reading `positions` tokens, elements of `element` bytes: what is alive in a layer, and every layer's bias of
/// each distance in float32.
pub fn text_work(config: &Umt5Config, positions: usize, element: usize) -> usize {
    let row = HIDDEN_ROWS * config.dim_ffn + ROWS * config.dim.max(config.dim_attn);
    let distances = 2 * positions - 1;
    positions * row * element + config.num_layers * config.num_heads * distances * 4
}
