//! A JSON body as a tree.

use std::collections::{BTreeMap, BTreeSet};

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
    let mut nulls = BTreeSet::new();
    note_nulls(&value, "", &mut nulls);
    match node(value) {
        Some(Node::Object(members)) => Ok(Fields::new(members, nulls)),
        Some(_) | None => Err(ApiError::new(ErrorCode::InvalidType, "the body must be a JSON object")),
    }
}

/// Digest of what a body asks for, whatever its bytes; `None` if it is no JSON object.
pub(crate) fn fingerprint(body: &[u8]) -> Option<String> {
    decode(body).ok().map(|fields| fields.fingerprint())
}

/// The paths of members that are null.
fn note_nulls(value: &Value, path: &str, nulls: &mut BTreeSet<String>) {
    for (name, member) in value.as_object().into_iter().flatten() {
        if member.is_null() {
            nulls.insert(format!("{path}{name}"));
        }
        note_nulls(member, &format!("{path}{name}."), nulls);
    }
}

/// `None` for null.
fn node(value: Value) -> Option<Node> {
    match value {
        Value::Null => None,
        Value::Object(members) => {
            let known = members.into_iter().filter_map(|(name, value)| node(value).map(|node| (name, node)));
            Some(Node::Object(known.collect::<BTreeMap<_, _>>()))
        }
        Value::Array(values) => Some(Node::List(values.into_iter().filter_map(node).collect())),
        scalar @ (Value::Bool(_) | Value::Number(_) | Value::String(_)) => Some(Node::Typed(scalar)),
    }
}
