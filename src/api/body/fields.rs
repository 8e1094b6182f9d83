//! A body as a tree, and the ways to take a typed value out of it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::upload::Upload;
use crate::domain::request::{BadRequest, RequestFault};

/// Members that say how to answer, not what to make.
const HOW_TO_ANSWER: [&str; 2] = ["wait", "stream"];

/// One value of a body. A member that is null or empty is not there at all; inside a list or among texts a null is a mistake.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    /// A JSON scalar, which has a type.
    Typed(Value),
    /// A multipart text, whose type is that of the field.
    Text(String),
    File(Upload),
    Object(BTreeMap<String, Self>),
    List(Vec<Self>),
    /// One plain name several times: a list if the field is one, else a mistake.
    Repeated(Vec<Self>),
    /// Parts that make no value; told when the field is taken, so that it keeps its place among other mistakes.
    Bad(BadRequest),
}

/// The members of a body, each taken once; what is left at the end was unknown.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    members: BTreeMap<String, Node>,
    /// Names of members that are null: absent, except where null means something. Those of an object inside stay with
    /// it until it is taken: a path for each of them would be as long as the body.
    nulls: BTreeSet<String>,
}

impl Fields {
    pub(super) fn new(mut members: BTreeMap<String, Node>) -> Self {
        let nulls = members.extract_if(.., |_, member| member.is_null()).map(|(name, _)| name).collect();
        Self { members, nulls }
    }

    /// Whether the body says that there is none, instead of saying nothing.
    pub(crate) fn is_null(&self, name: &str) -> bool {
        self.nulls.contains(name)
    }

    /// Digest of what is asked for, the same for the same members in any order and form of the body's bytes.
    /// How long the client wants to wait is no part of it.
    pub(crate) fn fingerprint(&self) -> String {
        let mut digest = Sha256::new();
        for (name, node) in self.members.iter().filter(|(name, _)| !HOW_TO_ANSWER.contains(&name.as_str())) {
            write_text(&mut digest, name);
            node.write(&mut digest);
        }
        // To say that there is none is not to say nothing.
        self.nulls.iter().for_each(|name| digest.update([b"n", name.as_bytes()].concat()));
        digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether something stands under the name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// A text.
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, BadRequest> {
        match self.single(name)? {
            None => Ok(None),
            Some(Node::Text(text) | Node::Typed(Value::String(text))) => Ok(Some(text)),
            Some(_) => Err(wrong_type(name, "a string")),
        }
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&mut self, name: &str) -> Result<Option<bool>, BadRequest> {
        match self.single(name)? {
            None => Ok(None),
            Some(Node::Typed(Value::Bool(value))) => Ok(Some(value)),
            Some(Node::Text(text)) if text == "true" => Ok(Some(true)),
            Some(Node::Text(text)) if text == "false" => Ok(Some(false)),
            Some(_) => Err(wrong_type(name, "a boolean")),
        }
    }

    /// A whole number; in JSON also one written as `4.0`.
    pub(crate) fn integer(&mut self, name: &str) -> Result<Option<i64>, BadRequest> {
        match self.single(name)? {
            None => Ok(None),
            Some(Node::Typed(Value::Number(number))) => whole(name, &number).map(Some),
            Some(Node::Text(text)) if is_plain_integer(&text) => match text.parse() {
                Ok(number) => Ok(Some(number)),
                Err(_) => {
                    Err(BadRequest::new(RequestFault::Value, name, format!("`{name}` is out of range")))
                }
            },
            Some(_) => Err(wrong_type(name, "an integer")),
        }
    }

    /// A number.
    pub(crate) fn number(&mut self, name: &str) -> Result<Option<f64>, BadRequest> {
        let number = match self.single(name)? {
            None => return Ok(None),
            Some(Node::Typed(Value::Number(number))) => number.as_f64(),
            Some(Node::Text(text)) => {
                serde_json::from_str::<serde_json::Number>(&text).ok().and_then(|number| number.as_f64())
            }
            Some(_) => None,
        };
        number.map(Some).ok_or_else(|| wrong_type(name, "a number"))
    }

    /// A text, or a number that is written out: only `seconds` is so lenient.
    pub(crate) fn text_or_number(&mut self, name: &str) -> Result<Option<String>, BadRequest> {
        match self.single(name)? {
            Some(Node::Typed(Value::Number(number))) => match whole(name, &number) {
                Ok(whole) => Ok(Some(whole.to_string())),
                Err(_) => Ok(Some(number.to_string())),
            },
            None => Ok(None),
            Some(Node::Text(text) | Node::Typed(Value::String(text))) => Ok(Some(text)),
            Some(_) => Err(wrong_type(name, "a string or an integer")),
        }
    }

    /// An object whose values are all texts.
    pub(crate) fn texts(&mut self, name: &str) -> Result<Option<BTreeMap<String, String>>, BadRequest> {
        let members = match self.single(name)? {
            None => return Ok(None),
            Some(Node::Object(members)) => members,
            Some(_) => return Err(wrong_type(name, "an object")),
        };
        let mut texts = BTreeMap::new();
        for (key, value) in members {
            let text = match value {
                Node::Text(text) | Node::Typed(Value::String(text)) => text,
                Node::Bad(bad) => return Err(bad),
                Node::Typed(_) | Node::File(_) | Node::Object(_) | Node::List(_) | Node::Repeated(_) => {
                    let message = format!("the values of `{name}` are strings");
                    return Err(BadRequest::new(RequestFault::Value, name, message));
                }
            };
            texts.insert(key, text);
        }
        Ok(Some(texts))
    }

    /// An object, whose members are taken one by one.
    pub(crate) fn object(&mut self, name: &str) -> Result<Option<Self>, BadRequest> {
        match self.single(name)? {
            None => Ok(None),
            Some(Node::Object(members)) => Ok(Some(Self::new(members))),
            Some(_) => Err(wrong_type(name, "an object")),
        }
    }

    /// A list of texts.
    pub(crate) fn list(&mut self, name: &str) -> Result<Option<Vec<String>>, BadRequest> {
        let nodes = match self.members.remove(name) {
            None => return Ok(None),
            Some(Node::List(nodes) | Node::Repeated(nodes)) => nodes,
            Some(Node::Bad(bad)) => return Err(bad),
            Some(_) => return Err(wrong_type(name, "an array of strings")),
        };
        let texts = nodes.into_iter().map(|node| match node {
            Node::Text(text) | Node::Typed(Value::String(text)) => Ok(text),
            Node::Bad(bad) => Err(bad),
            Node::Typed(_) | Node::File(_) | Node::Object(_) | Node::List(_) | Node::Repeated(_) => {
                Err(wrong_type(name, "an array of strings"))
            }
        });
        texts.collect::<Result<_, _>>().map(Some)
    }

    /// A list of texts.
    pub(crate) fn text_list(&mut self, name: &str) -> Result<Option<Vec<String>>, BadRequest> {
        let nodes = match self.members.remove(name) {
            None => return Ok(None),
            Some(Node::List(nodes) | Node::Repeated(nodes)) => nodes,
            Some(one) => vec![one],
        };
        let text = |node| match node {
            Node::Text(text) | Node::Typed(Value::String(text)) => Ok(text),
            Node::Bad(bad) => Err(bad),
            Node::Typed(_) | Node::File(_) | Node::Object(_) | Node::List(_) | Node::Repeated(_) => {
                Err(wrong_type(name, "an array of strings"))
            }
        };
        nodes.into_iter().map(text).collect::<Result<_, _>>().map(Some)
    }

    /// A file part.
    pub(crate) fn file(&mut self, name: &str) -> Result<Option<Upload>, BadRequest> {
        match self.single(name)? {
            None => Ok(None),
            Some(Node::File(upload)) => Ok(Some(upload)),
            Some(_) => Err(wrong_type(name, "a file")),
        }
    }

    /// Whatever stands under the name, once.
    pub(super) fn single(&mut self, name: &str) -> Result<Option<Node>, BadRequest> {
        match self.members.remove(name) {
            Some(Node::Repeated(_)) => {
                Err(BadRequest::new(RequestFault::Value, name, format!("`{name}` is given more than once")))
            }
            Some(Node::Bad(bad)) => Err(bad),
            other => Ok(other),
        }
    }

    /// Refuses fields that this operation does not have, with the reason; the first in the order given.
    pub(crate) fn refuse(&mut self, names: &[&str], reason: &str) -> Result<(), BadRequest> {
        match names.iter().find(|name| self.members.contains_key(**name)) {
            None => Ok(()),
            Some(name) => Err(BadRequest::new(
                RequestFault::Unsupported,
                name,
                format!("`{name}` is not supported: {reason}"),
            )),
        }
    }

    /// Refuses what was not taken.
    pub(crate) fn finish(self) -> Result<(), BadRequest> {
        match self.members.into_keys().next() {
            None => Ok(()),
            Some(name) => {
                let message = format!("unknown parameter: `{name}`");
                Err(BadRequest::new(RequestFault::Unknown, &name, message))
            }
        }
    }
}

impl Node {
    fn is_null(&self) -> bool {
        matches!(self, Self::Typed(Value::Null))
    }

    /// Feeds a form that is the same for the same value: lengths and marks keep neighbours apart.
    fn write(&self, digest: &mut Sha256) {
        match self {
            // Not the text `null`.
            Self::Typed(Value::Null) => digest.update(b"n"),
            Self::Typed(Value::String(text)) | Self::Text(text) => write_text(digest, text),
            Self::Typed(scalar) => match scalar.as_f64() {
                Some(number) => write_text(digest, &number.to_string()),
                None => write_text(digest, &scalar.to_string()),
            },
            Self::File(upload) => {
                digest.update(b"f");
                digest.update(upload.sha256());
            }
            Self::Object(members) => {
                digest.update([b"o", members.len().to_le_bytes().as_slice()].concat());
                for (name, node) in members {
                    write_text(digest, name);
                    node.write(digest);
                }
            }
            // Such a request makes nothing.
            Self::Bad(bad) => write_text(digest, &bad.message),
            Self::List(nodes) | Self::Repeated(nodes) => {
                digest.update([b"l", nodes.len().to_le_bytes().as_slice()].concat());
                nodes.iter().for_each(|node| node.write(digest));
            }
        }
    }
}

fn write_text(digest: &mut Sha256, text: &str) {
    digest.update([b"t", text.len().to_le_bytes().as_slice()].concat());
    digest.update(text.as_bytes());
}

/// The mistake is in a member of `name`.
pub(crate) fn inside(name: &str, bad: BadRequest) -> BadRequest {
    BadRequest { param: bad.param.map(|param| format!("{name}.{param}")), ..bad }
}

/// A value of the wrong type.
pub(super) fn wrong_type(name: &str, wanted: &str) -> BadRequest {
    BadRequest::new(RequestFault::Type, name, format!("`{name}` must be {wanted}"))
}

/// Beyond this a float names no single integer.
const MAX_EXACT_FLOAT: f64 = 9_007_199_254_740_992.0;

fn whole(name: &str, number: &serde_json::Number) -> Result<i64, BadRequest> {
    if let Some(integer) = number.as_i64() {
        return Ok(integer);
    }
    match number.as_f64() {
        Some(float) if float.fract() == 0.0 && float.abs() < MAX_EXACT_FLOAT => Ok(float as i64),
        Some(float) if float.fract() == 0.0 => {
            Err(BadRequest::new(RequestFault::Value, name, format!("`{name}` is out of range")))
        }
        Some(_) | None => Err(wrong_type(name, "an integer")),
    }
}

fn is_plain_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::super::json::decode;
    use super::*;

    #[test]
    fn a_null_is_told_from_a_text_and_from_nothing_at_any_depth() {
        let bodies = [
            r#"{"a":{"b":null}}"#,
            r#"{"a":{"b":"null"}}"#,
            r#"{"a":{}}"#,
            r#"{"a":null}"#,
            r#"{"a":{"b":{"c":null}}}"#,
        ];
        let seen = bodies.map(|body| decode(body.as_bytes()).unwrap().fingerprint());
        assert_eq!(BTreeSet::from(seen).len(), bodies.len());
        let mut fields = decode(br#"{"a":{"b":null,"c":{"d":null}},"e":null}"#).unwrap();
        assert!(fields.is_null("e") && !fields.has("e"));
        let mut inside = fields.object("a").unwrap().unwrap();
        assert!(inside.is_null("b") && !inside.is_null("c"));
        assert!(inside.object("c").unwrap().unwrap().is_null("d"));
        inside.finish().unwrap();
        fields.finish().unwrap();
    }

    #[test]
    fn nulls_inside_a_member_with_a_long_name_take_no_more_than_they_are_long() {
        let nulls: Vec<_> = (0..1000).map(|index| format!("\"{index}\":null")).collect();
        let body = format!(r#"{{"{}":{{{}}},"a":null}}"#, "x".repeat(1000), nulls.join(","));
        let fields = decode(body.as_bytes()).unwrap();
        assert_eq!(fields.nulls, BTreeSet::from(["a".to_owned()]));
    }
}
