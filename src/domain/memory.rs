//! What a worker did about the memory of its device: which network came or left, and why.

use serde::{Deserialize, Serialize};

/// Which network of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartKind {
    TextEncoder,
    /// Pictures to latents.
    Encoder,
    Transformer,
    /// Latents to pictures.
    Decoder,
}

/// What was done; last, the steps down the ladder of a clip that does not fit as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MoveKind {
    /// Weights came to the device from where they are stored.
    Load,
    /// Weights left it, and will have to be loaded again.
    Evict,
    /// Weights left it for the host's memory.
    ToHost,
    /// Weights came back from there.
    FromHost,
    /// Weights left the host's memory too, for others.
    LeavesHost,
    /// A stage takes smaller pieces.
    SmallerPieces,
    /// The text encoder makes room.
    TextEncoderLeaves,
    /// Another network makes room.
    PartLeaves,
}

/// One thing that was done.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Move {
    pub kind: MoveKind,
    pub part: PartKind,
    /// Of the weights; 0 for a step of the ladder.
    pub bytes: u64,
    pub seconds: f64,
}

impl PartKind {
    /// As metrics and logs name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TextEncoder => "text_encoder",
            Self::Encoder => "encoder",
            Self::Transformer => "transformer",
            Self::Decoder => "decoder",
        }
    }
}

impl MoveKind {
    /// Whether weights moved, which takes time; else it was a step of the ladder.
    pub fn is_move(self) -> bool {
        match self {
            Self::Load | Self::Evict | Self::ToHost | Self::FromHost | Self::LeavesHost => true,
            Self::SmallerPieces | Self::TextEncoderLeaves | Self::PartLeaves => false,
        }
    }

    /// As metrics name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Evict => "evict",
            Self::ToHost => "to_host",
            Self::FromHost => "from_host",
            Self::LeavesHost => "leaves_host",
            Self::SmallerPieces => "smaller_pieces",
            Self::TextEncoderLeaves => "text_encoder_leaves",
            Self::PartLeaves => "part_leaves",
        }
    }
}
