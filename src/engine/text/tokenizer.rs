//! The tokenizer of a text encoder: a published `tokenizer.json`, or the one of synthetic models, which is only arithmetic.

use std::path::Path;

/// What follows the last word: `</s>` of umT5's vocabulary, and of the synthetic one.
const END_OF_TEXT: u32 = 1;
/// `<pad>` of umT5's vocabulary.
const PADDING: u32 = 0;
/// Ids under this one are marks, never words.
const FIRST_WORD: u32 = 3;

/// Turns text into ids. Shared between threads; holds no state of a text.
pub struct Tokenizer {
    words: Words,
    max_tokens: usize,
}

enum Words {
    File(Box<tokenizers::Tokenizer>),
    /// Each word's hash is its id: as many tokens as an ordinary text has, without a file.
    Hashed {
        vocabulary: u32,
    },
}

/// A text as the encoder reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Exactly the encoder's length; after the first `tokens` come padding ids.
    pub ids: Vec<u32>,
    /// Ids that are read, the end mark included.
    pub tokens: usize,
    /// Ids of the whole text, the end mark included.
    pub all_tokens: usize,
}

impl Encoded {
    /// Whether the text was cut.
    pub fn truncated(&self) -> bool {
        self.all_tokens > self.tokens
    }
}

/// Why there is no tokenizer, or no ids.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenizerError {
    #[error("{file} is not a tokenizer: {reason}")]
    Broken { file: String, reason: String },
    #[error("{file} has {found} ids, the text encoder {expected}")]
    Vocabulary { file: String, expected: usize, found: usize },
    #[error("the text cannot be split into tokens: {0}")]
    Text(String),
}

impl Tokenizer {
    /// Reads a `tokenizer.json` whose ids an encoder of `vocabulary` rows can look up.
    pub fn open(path: &Path, vocabulary: usize, max_tokens: usize) -> Result<Self, TokenizerError> {
        let file = path.display().to_string();
        let broken = |error: tokenizers::Error| TokenizerError::Broken {
            file: file.clone(),
            reason: error.to_string(),
        };
        let mut words = tokenizers::Tokenizer::from_file(path).map_err(broken)?;
        words.with_padding(None);
        words.with_truncation(None).map_err(broken)?;
        let found = words.get_vocab_size(true);
        if found > vocabulary {
            return Err(TokenizerError::Vocabulary { file, expected: vocabulary, found });
        }
        Ok(Self { words: Words::File(Box::new(words)), max_tokens })
    }

    /// The tokenizer of a synthetic model.
    pub fn synthetic(vocabulary: usize, max_tokens: usize) -> Self {
        let vocabulary = u32::try_from(vocabulary).unwrap_or(u32::MAX).max(FIRST_WORD + 1);
        Self { words: Words::Hashed { vocabulary }, max_tokens }
    }

    /// The length of every encoded text, padding included.
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// Splits, marks the end, cuts and pads. A cut text still ends with the mark.
    pub fn encode(&self, text: &str) -> Result<Encoded, TokenizerError> {
        let mut ids = self.words.ids(text)?;
        let all_tokens = ids.len();
        if all_tokens > self.max_tokens {
            let marked = ids.last() == Some(&END_OF_TEXT);
            ids.truncate(self.max_tokens);
            if let (true, Some(last)) = (marked, ids.last_mut()) {
                *last = END_OF_TEXT;
            }
        }
        let tokens = ids.len();
        ids.resize(self.max_tokens, PADDING);
        Ok(Encoded { ids, tokens, all_tokens })
    }
}

impl Words {
    /// Ids of the whole text and its end mark.
    fn ids(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        match self {
            Self::File(tokenizer) => {
                let encoding = tokenizer.encode_fast(text, true);
                Ok(encoding.map_err(|error| TokenizerError::Text(error.to_string()))?.get_ids().to_vec())
            }
            Self::Hashed { vocabulary } => {
                let words =
                    text.split_whitespace().map(|word| FIRST_WORD + hash(word) % (vocabulary - FIRST_WORD));
                Ok(words.chain([END_OF_TEXT]).collect())
            }
        }
    }
}

/// FNV-1a: equal on every machine.
fn hash(word: &str) -> u32 {
    word.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words a, b, c and the end mark, as umT5 numbers its marks.
    fn file() -> tempfile::NamedTempFile {
        let json = r#"{"version":"1.0","truncation":null,"padding":null,"added_tokens":[
            {"id":1,"content":"</s>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}],
            "normalizer":null,"pre_tokenizer":{"type":"Whitespace"},"decoder":null,
            "post_processor":{"type":"TemplateProcessing","single":[{"Sequence":{"id":"A","type_id":0}},
            {"SpecialToken":{"id":"</s>","type_id":0}}],"pair":[],
            "special_tokens":{"</s>":{"id":"</s>","ids":[1],"tokens":["</s>"]}}},
            "model":{"type":"WordLevel","vocab":{"<pad>":0,"</s>":1,"<unk>":2,"a":3,"b":4,"c":5},"unk_token":"<unk>"}}"#;
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), json).unwrap();
        file
    }

    #[test]
    fn a_text_is_marked_and_padded() {
        let file = file();
        let tokenizer = Tokenizer::open(file.path(), 6, 5).unwrap();
        let encoded = tokenizer.encode("a c zebra").unwrap();
        assert_eq!(encoded, Encoded { ids: vec![3, 5, 2, 1, 0], tokens: 4, all_tokens: 4 });
        assert!(!encoded.truncated());
        assert_eq!(tokenizer.encode("").unwrap().ids, [1, 0, 0, 0, 0]);
    }

    #[test]
    fn a_long_text_is_cut_and_still_ends() {
        let file = file();
        let encoded = Tokenizer::open(file.path(), 6, 3).unwrap().encode("a b c a b").unwrap();
        assert_eq!((encoded.ids.as_slice(), encoded.all_tokens), ([3, 4, 1].as_slice(), 6));
        assert!(encoded.truncated());
    }

    #[test]
    fn a_vocabulary_that_the_encoder_cannot_look_up_is_refused() {
        let file = file();
        let refused = Tokenizer::open(file.path(), 5, 8).err().unwrap();
        assert!(matches!(refused, TokenizerError::Vocabulary { expected: 5, found: 6, .. }));
        std::fs::write(file.path(), "{}").unwrap();
        assert!(matches!(Tokenizer::open(file.path(), 6, 8), Err(TokenizerError::Broken { .. })));
    }

    #[test]
    fn the_synthetic_tokenizer_counts_words_and_stays_in_its_vocabulary() {
        let tokenizer = Tokenizer::synthetic(384, 64);
        let encoded = tokenizer.encode("a red ball rolls, 一只猫").unwrap();
        assert_eq!(encoded.tokens, 6);
        assert!(encoded.ids.iter().all(|id| *id < 384));
        assert_eq!(encoded, tokenizer.encode("a red ball rolls, 一只猫").unwrap());
    }
}
