//! The W3C trace context of a request, which goes with its job to logs, workers, storage and webhooks.
//! Parsed once, at the edge; never random by itself.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::clock::Random;

/// The version of `traceparent` that is written; later ones are read as far as they agree with it.
const VERSION: &str = "00";

/// Characters of a whole `traceparent` of that version.
const LENGTH: usize = 55;

/// The longest `tracestate` that is handed on; the standard asks for at least as much.
const MAX_STATE_BYTES: usize = 512;

/// Members of a `tracestate` at most, as the standard says.
const MAX_STATE_MEMBERS: usize = 32;

/// A place in a trace: who comes next is its child.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceContext {
    #[serde(with = "as_text")]
    parent: TraceParent,
    /// Of other vendors, handed on as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state: Option<String>,
}

/// The trace, the span that is the parent of whatever comes next, and whether the caller records it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TraceParent {
    trace: [u8; 16],
    span: [u8; 8],
    flags: u8,
}

impl TraceContext {
    /// The place that the headers name, or `None` if they name none that is well formed. `states` are the values of
    /// every `tracestate` header, in order.
    pub fn parse<'a>(parent: &str, states: impl Iterator<Item = &'a str>) -> Option<Self> {
        let parent = TraceParent::parse(parent)?;
        let states: Vec<&str> = states.flat_map(|state| state.split(',')).map(str::trim).collect();
        let members: Vec<&str> = states.into_iter().filter(|member| !member.is_empty()).collect();
        let good = !members.is_empty() && members.len() <= MAX_STATE_MEMBERS && members.iter().all(is_member);
        let state = good.then(|| members.join(",")).filter(|state| state.len() <= MAX_STATE_BYTES);
        Some(Self { parent, state })
    }

    /// A trace that nobody began before, and that nobody asked to record.
    pub fn start(random: &dyn Random) -> Self {
        let mut trace = [0; 16];
        random.fill(&mut trace);
        // All zeros would be no trace.
        trace[0] |= 1;
        Self { parent: TraceParent { trace, span: fresh_span(random), flags: 0 }, state: None }
    }

    /// The same trace, one step further on.
    #[must_use]
    pub fn child(&self, random: &dyn Random) -> Self {
        let parent = TraceParent { span: fresh_span(random), ..self.parent };
        Self { parent, state: self.state.clone() }
    }

    /// 32 hex digits, as logs show it.
    pub fn trace_id(&self) -> String {
        hex(&self.parent.trace)
    }

    /// The header `traceparent`.
    pub fn traceparent(&self) -> String {
        self.parent.to_string()
    }

    /// The header `tracestate`, if there is anything to hand on.
    pub fn tracestate(&self) -> Option<&str> {
        self.state.as_deref()
    }
}

impl TraceParent {
    fn parse(text: &str) -> Option<Self> {
        let whole = text.is_ascii() && text.len() >= LENGTH;
        let (known, further) = whole.then(|| text.split_at(LENGTH))?;
        let mut parts = known.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let later = version != VERSION;
        let ended = further.is_empty() || later && further.starts_with('-');
        let sound = parts.next().is_none() && ended && version != "ff" && bytes::<1>(version).is_some();
        let this = Self { trace: bytes(trace)?, span: bytes(span)?, flags: bytes::<1>(flags)?[0] };
        (sound && this.trace != [0; 16] && this.span != [0; 8]).then_some(this)
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{VERSION}-{}-{}-{:02x}", hex(&self.trace), hex(&self.span), self.flags)
    }
}

fn fresh_span(random: &dyn Random) -> [u8; 8] {
    let mut span = [0; 8];
    random.fill(&mut span);
    span[0] |= 1;
    span
}

/// `key=value` of printable characters.
fn is_member(member: &&str) -> bool {
    let printable = member.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    printable && member.split_once('=').is_some_and(|(key, value)| !key.is_empty() && !value.is_empty())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Exactly so many bytes, in lower-case hex digits.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let lower = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let mut bytes = [0; N];
    if !lower || text.len() != 2 * N {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(bytes)
}

/// A `traceparent` in JSON is its header's text.
mod as_text {
    use super::{Deserialize, Deserializer, Serializer, TraceParent};

    pub(super) fn serialize<S: Serializer>(parent: &TraceParent, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(parent)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<TraceParent, D::Error> {
        let text = String::deserialize(input)?;
        TraceParent::parse(&text).ok_or_else(|| serde::de::Error::custom("no traceparent"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[derive(Debug)]
    struct Zeros;

    impl Random for Zeros {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(0);
        }
    }

    fn parse(parent: &str, states: &[&str]) -> Option<TraceContext> {
        TraceContext::parse(parent, states.iter().copied())
    }

    #[test]
    fn what_is_well_formed_is_continued() {
        let context = parse(PARENT, &["rojo=00f067aa0ba902b7, congo=t61rcWkgMzE", "x=1"]).unwrap();
        assert_eq!(context.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(context.traceparent(), PARENT);
        assert_eq!(context.tracestate(), Some("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE,x=1"));
        let child = context.child(&Zeros);
        assert_eq!(child.traceparent(), "00-4bf92f3577b34da6a3ce929d0e0e4736-0100000000000000-01");
        assert_eq!(child.tracestate(), context.tracestate());
        let text = serde_json::to_string(&child).unwrap();
        assert_eq!(serde_json::from_str::<TraceContext>(&text).unwrap(), child);
        // A later version is read as far as it is known, and answered in ours.
        let later = parse(&format!("cc{}-what-else", &PARENT[2..]), &[]).unwrap();
        assert_eq!((later.traceparent().as_str(), later.tracestate()), (PARENT, None));
    }

    #[test]
    fn what_is_not_begins_a_trace_of_its_own() {
        let bad = [
            "",
            "x",
            &PARENT[..54],
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "0x-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
            "00-4bf92f3577b34da6a3ce929d0e0e473é-00f067aa0ba902b7-01",
        ];
        for text in bad {
            assert_eq!(parse(text, &["a=1"]), None, "{text}");
        }
        for state in ["a", "=1", "a=", "a=\u{e9}", &format!("a={}", "x".repeat(600)), &"a=1,".repeat(33)] {
            assert_eq!(parse(PARENT, &[state]).unwrap().tracestate(), None, "{state}");
        }
        let fresh = TraceContext::start(&Zeros).traceparent();
        assert!(TraceParent::parse(&fresh).is_some(), "{fresh}");
    }
}
