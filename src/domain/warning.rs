//! What a job's owner should know although the job was accepted.

use serde::{Deserialize, Serialize};

/// A remark on an accepted request, as the job object shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    pub code: WarningCode,
    pub message: String,
    /// The request field it is about.
    pub param: Option<String>,
}

/// Prompts under this many tokens say too little for a good clip.
const SHORT_PROMPT_TOKENS: u32 = 8;

/// Why there is a warning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WarningCode {
    /// More tokens than the text encoder reads; the rest is cut.
    PromptTruncated,
    PromptShort,
    PromptNotEnglish,
    ResolutionNotBest,
    SlaTopkLow,
    /// The steps never fall below `boundary`.
    LowNoiseModelUnused,
    /// A picture was stretched out of its shape.
    AspectChanged,
}

impl Warning {
    /// What a prompt of `tokens` tokens deserves where the encoder reads `most`. Whoever has the tokenizer asks.
    pub fn of_prompt_length(tokens: u32, most: u32) -> Option<Self> {
        let (code, message) = if tokens > most {
            let message =
                format!("the prompt has {tokens} tokens; those after the first {most} are not read");
            (WarningCode::PromptTruncated, message)
        } else if tokens < SHORT_PROMPT_TOKENS {
            let message =
                format!("the prompt has only {tokens} tokens; a fuller description gives better videos");
            (WarningCode::PromptShort, message)
        } else {
            return None;
        };
        Some(Self { code, message, param: Some("prompt".to_owned()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_very_short_and_cut_prompts_are_remarked_on() {
        let code = |tokens| Warning::of_prompt_length(tokens, 512).map(|warning| warning.code);
        assert_eq!([code(7), code(8), code(512)], [Some(WarningCode::PromptShort), None, None]);
        assert_eq!(code(513), Some(WarningCode::PromptTruncated));
    }
}
