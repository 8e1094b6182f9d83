//! A multipart body as a tree: bracket names become members and elements. Never trusts a file's declared name or type.

use std::collections::BTreeMap;

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::error::PayloadError;
use actix_web::http::header::HeaderMap;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};

use super::fields::{Fields, Node};
use super::upload::{Receiving, Room};
use crate::api::errors::{ApiError, ErrorCode};
use crate::domain::request::{BadRequest, RequestFault};

/// More parts than any form of ours has.
const MAX_PARTS: usize = 64;

/// The longest text part.
const MAX_TEXT_BYTES: usize = 256 << 10;

/// openai-node sends data URLs as text parts: a picture of 10 MiB in base64.
const MAX_PICTURE_TEXT_BYTES: usize = 14 << 20;
const PICTURE_TEXTS: [&str; 4] =
    ["image", "image[image_url]", "input_reference", "input_reference[image_url]"];

/// `a[b][c]` and no deeper.
const MAX_DEPTH: usize = 3;

/// One step from a value to a value inside it.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Member(String),
    /// `[]`: the next element.
    Element,
    /// `[0]`.
    Index(usize),
}

/// Decodes all parts, of which the texts have at most so many bytes together. The stream must already be limited in length.
pub(super) async fn decode<S>(headers: &HeaderMap, stream: S, most_text: usize) -> Result<Fields, ApiError>
where
    S: Stream<Item = Result<Bytes, PayloadError>> + 'static,
{
    let mut multipart = Multipart::new(headers, stream);
    let mut root = BTreeMap::new();
    let mut parts = 0;
    let (mut room, mut text_left) = (Room::of_form(), most_text);
    while let Some(part) = multipart.next().await {
        let mut part = part.map_err(|error| broken(&error))?;
        parts += 1;
        if parts > MAX_PARTS {
            return Err(too_large(format!("more than {MAX_PARTS} parts")));
        }
        let Some(name) = part.name().map(str::to_owned).filter(|name| !name.is_empty()) else {
            return Err(ApiError::new(ErrorCode::InvalidMultipart, "a part has no name"));
        };
        let filename = part.content_disposition().and_then(|shape| shape.get_filename().map(str::to_owned));
        let node = match filename {
            Some(filename) => Some(file(&mut part, &filename, &mut room).await?),
            None => text(&mut part, &name, &mut text_left).await?,
        };
        let Some(node) = node else { continue };
        let (member, steps) = parse_name(&name).ok_or_else(|| misplaced(&name))?;
        if insert(&mut root, member, &steps, node).is_err() {
            root.insert(member.to_owned(), Node::Bad(misplaced(&name)));
        }
    }
    Ok(Fields::new(root))
}

async fn file(part: &mut Field, filename: &str, room: &mut Room) -> Result<Node, ApiError> {
    let mut receiving = Receiving::new(filename);
    while let Some(chunk) = part.next().await {
        let chunk = chunk.map_err(|error| broken(&error))?;
        receiving.push(&chunk, room).await.map_err(|error| ApiError::internal(&error))?;
    }
    Ok(Node::File(receiving.finish().await.map_err(|error| ApiError::internal(&error))?))
}

/// `None` for what counts as absent: nothing, or the word `null`. `left` is what the texts of the form may still have.
async fn text(part: &mut Field, name: &str, left: &mut usize) -> Result<Option<Node>, ApiError> {
    let limit = if PICTURE_TEXTS.contains(&name) { MAX_PICTURE_TEXT_BYTES } else { MAX_TEXT_BYTES };
    let mut bytes = Vec::new();
    while let Some(chunk) = part.next().await {
        let chunk = chunk.map_err(|error| broken(&error))?;
        if bytes.len() + chunk.len() > limit {
            return Err(
                too_large(format!("the part `{name}` has more than {limit} bytes")).about(dotted(name))
            );
        }
        let too_much = || too_large("the text parts have too many bytes together".to_owned());
        *left = left.checked_sub(chunk.len()).ok_or_else(too_much)?;
        bytes.extend_from_slice(&chunk);
    }
    let Ok(text) = String::from_utf8(bytes) else {
        let message = format!("`{name}` is not valid UTF-8");
        return Ok(Some(Node::Bad(BadRequest::new(RequestFault::Value, &dotted(name), message))));
    };
    Ok((!text.is_empty() && text != "null").then_some(Node::Text(text)))
}

/// `a[b][]` as the member `a` and the steps from it.
fn parse_name(name: &str) -> Option<(&str, Vec<Step>)> {
    let Some(bracket) = name.find('[') else { return Some((name, Vec::new())) };
    let (member, mut rest) = name.split_at(bracket);
    let mut steps = Vec::new();
    while !rest.is_empty() {
        let (inside, after) = rest.strip_prefix('[')?.split_once(']')?;
        steps.push(match inside {
            "" => Step::Element,
            digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => Step::Index(digits.parse().ok()?),
            key => Step::Member(key.to_owned()),
        });
        rest = after;
    }
    (!member.is_empty() && steps.len() < MAX_DEPTH).then_some((member, steps))
}

fn insert(members: &mut BTreeMap<String, Node>, member: &str, steps: &[Step], node: Node) -> Result<(), ()> {
    let Some(existing) = members.get_mut(member) else {
        members.insert(member.to_owned(), fresh(steps, node)?);
        return Ok(());
    };
    extend(existing, steps, node)
}

/// The value that holds `node` at the end of `steps` and nothing else.
fn fresh(steps: &[Step], node: Node) -> Result<Node, ()> {
    match steps.split_first() {
        None => Ok(node),
        Some((Step::Member(key), rest)) => Ok(Node::Object([(key.clone(), fresh(rest, node)?)].into())),
        Some((Step::Element | Step::Index(0), rest)) => Ok(Node::List(vec![fresh(rest, node)?])),
        Some((Step::Index(_), _)) => Err(()),
    }
}

fn extend(existing: &mut Node, steps: &[Step], node: Node) -> Result<(), ()> {
    match (existing, steps.split_first()) {
        (Node::Object(members), Some((Step::Member(key), rest))) => insert(members, key, rest, node),
        (Node::List(elements), Some((Step::Element, rest))) => {
            // `a[][b]`: a member that the last element lacks belongs to it, one that it has opens the next.
            if let (Some(Node::Object(last)), Some(Step::Member(key))) = (elements.last_mut(), rest.first())
                && !last.contains_key(key)
            {
                return insert(last, key, &rest[1..], node);
            }
            elements.push(fresh(rest, node)?);
            Ok(())
        }
        (Node::List(elements), Some((Step::Index(index), rest))) => {
            let length = elements.len();
            match elements.get_mut(*index) {
                Some(element) => extend(element, rest, node),
                None if *index == length => {
                    elements.push(fresh(rest, node)?);
                    Ok(())
                }
                None => Err(()),
            }
        }
        (Node::Repeated(values), None) => {
            values.push(node);
            Ok(())
        }
        (first @ (Node::Text(_) | Node::File(_)), None) => {
            let earlier = std::mem::replace(first, Node::List(Vec::new()));
            *first = Node::Repeated(vec![earlier, node]);
            Ok(())
        }
        (
            Node::Object(_)
            | Node::List(_)
            | Node::Text(_)
            | Node::File(_)
            | Node::Typed(_)
            | Node::Repeated(_)
            | Node::Bad(_),
            _,
        ) => Err(()),
    }
}

fn misplaced(name: &str) -> BadRequest {
    let message = format!("`{name}` does not fit the other parts of the form");
    BadRequest::new(RequestFault::Value, &dotted(name), message)
}

/// `a[b]` as errors name it: `a.b`.
fn dotted(name: &str) -> String {
    name.replace("[]", "").replace('[', ".").replace(']', "")
}

fn too_large(message: String) -> ApiError {
    ApiError::new(ErrorCode::RequestTooLarge, message)
}

fn broken(error: &MultipartError) -> ApiError {
    if matches!(error, MultipartError::Payload(PayloadError::Overflow)) {
        return too_large("the body is too large".to_owned());
    }
    ApiError::new(ErrorCode::InvalidMultipart, "the multipart body cannot be parsed")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(parts: &[(&str, &str)]) -> Result<BTreeMap<String, Node>, ()> {
        let mut root = BTreeMap::new();
        for (name, value) in parts {
            let (member, steps) = parse_name(name).ok_or(())?;
            insert(&mut root, member, &steps, Node::Text((*value).to_owned()))?;
        }
        Ok(root)
    }

    fn text(value: &str) -> Node {
        Node::Text(value.to_owned())
    }

    #[test]
    fn brackets_build_objects_and_lists() {
        let root = tree(&[
            ("metadata[a]", "1"),
            ("metadata[b]", "2"),
            ("tags[]", "x"),
            ("tags[]", "y"),
            ("numbered[0]", "p"),
            ("numbered[1]", "q"),
            ("characters[][id]", "c1"),
            ("characters[][name]", "n1"),
            ("characters[][id]", "c2"),
            ("plain", "u"),
            ("plain", "v"),
        ])
        .unwrap();
        let object = |pairs: &[(&str, &str)]| {
            Node::Object(pairs.iter().map(|(key, value)| ((*key).to_owned(), text(value))).collect())
        };
        assert_eq!(root["metadata"], object(&[("a", "1"), ("b", "2")]));
        assert_eq!(root["tags"], Node::List(vec![text("x"), text("y")]));
        assert_eq!(root["numbered"], Node::List(vec![text("p"), text("q")]));
        assert_eq!(
            root["characters"],
            Node::List(vec![object(&[("id", "c1"), ("name", "n1")]), object(&[("id", "c2")])])
        );
        assert_eq!(root["plain"], Node::Repeated(vec![text("u"), text("v")]));
    }

    #[test]
    fn names_that_make_no_sense_are_refused() {
        for bad in ["[a]", "a[", "a[b]c", "a[b", "a[1]", "a[b][c][d]"] {
            assert!(tree(&[(bad, "1")]).is_err(), "{bad}");
        }
        assert!(tree(&[("a", "1"), ("a[b]", "2")]).is_err());
        assert!(tree(&[("a[b]", "1"), ("a", "2")]).is_err());
    }
}
