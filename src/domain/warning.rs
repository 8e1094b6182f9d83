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
