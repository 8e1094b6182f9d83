//! A JSON body as a tree.

use std::collections::BTreeMap;

use serde_json::Value;

use super::fields::{Fields, Node};
use crate::api::errors::{ApiError, ErrorCode};

/// Decodes an object; nothing at all counts as an empty one.
pub(super) fn decode(body: &[u8]) -> Result<Fields, ApiError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Fields::default());
    }
    let value: Value = serde_json::from_slice(body).map_err(|error| {
        let place = format!("line {} column {}", error.line(), error.column());
        ApiError::new(ErrorCode::InvalidJson, format!("the body is not valid JSON ({place})"))
    })?;
    match node(value) {
        Node::Object(members) => Ok(Fields::new(members)),
        Node::Typed(_) | Node::Text(_) | Node::File(_) | Node::List(_) | Node::Repeated(_) | Node::Bad(_) => {
            Err(ApiError::new(ErrorCode::InvalidType, "the body must be a JSON object"))
        }
    }
}

/// Digest of what a body asks for, whatever its bytes; `None` if it is no JSON object.
pub(crate) fn fingerprint(body: &[u8]) -> Option<String> {
    decode(body).ok().map(|fields| fields.fingerprint())
}

fn node(value: Value) -> Node {
    match value {
        Value::Object(members) => {
            let members = members.into_iter().map(|(name, value)| (name, node(value)));
            Node::Object(members.collect::<BTreeMap<_, _>>())
        }
        Value::Array(values) => Node::List(values.into_iter().map(node).collect()),
        scalar @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => Node::Typed(scalar),
    }
}
