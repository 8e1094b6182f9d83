//! What can be wrong with a request, named so that the client learns which field to change.

use std::fmt;

/// A refused request: which rule, which field, and a sentence for a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BadRequest {
    pub fault: RequestFault,
    /// The field, as a dotted path.
    pub param: Option<String>,
    pub message: String,
}

/// The rule that was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RequestFault {
    /// A required field is absent.
    Missing,
    /// The JSON type is wrong.
    Type,
    /// Out of range, not in the list, or in conflict with another field.
    Value,
    /// A text is too long.
    TooLong,
    /// No such field.
    Unknown,
    /// A field that this operation or model does not have.
    Unsupported,
    /// The model cannot do the operation.
    ModelOperation,
    /// The model is deployed, but not in this number format or with this attention.
    Variant,
    /// No such model, or none deployed.
    ModelNotFound,
    /// This server does not call back, or not there.
    CallbackUrl,
    /// The picture's shape is outside what the model takes.
    ImageAspect,
}

impl BadRequest {
    /// A fault of one field.
    pub fn new(fault: RequestFault, param: &str, message: impl fmt::Display) -> Self {
        Self { fault, param: Some(param.to_owned()), message: message.to_string() }
    }

    pub(super) fn value(param: &str, message: impl fmt::Display) -> Self {
        Self::new(RequestFault::Value, param, message)
    }

    pub(super) fn unsupported(param: &str, message: impl fmt::Display) -> Self {
        Self::new(RequestFault::Unsupported, param, message)
    }
}
