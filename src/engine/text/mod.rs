//! From the text that is encoded to token ids of the encoder's fixed length.
//! Cleaning a prompt is `domain::prompt`'s; this never changes a character.

mod tokenizer;

pub use tokenizer::{Encoded, Tokenizer, TokenizerError};
