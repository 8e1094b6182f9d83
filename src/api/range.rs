//! Which bytes of a file a request asks for: `Range` with `If-Range`, as RFC 9110 says it. One range at most.

use std::ops::Range;

/// What to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All of it.
    Whole,
    /// These bytes.
    Part(Range<u64>),
    /// Nothing that exists.
    Unsatisfiable,
}

/// Reads a `Range` header for a file of `length` bytes. What cannot be read, and several ranges, mean the whole file.
pub(crate) fn wanted(header: Option<&str>, length: u64) -> Wanted {
    let Some((unit, spec)) = header.and_then(|header| header.trim().split_once('=')) else {
        return Wanted::Whole;
    };
    if !unit.eq_ignore_ascii_case("bytes") {
        return Wanted::Whole;
    }
    let Some((first, last)) = spec.split_once('-').map(|(first, last)| (first.trim(), last.trim())) else {
        return Wanted::Whole;
    };
    if first.is_empty() {
        return match digits(last) {
            Some(0) => Wanted::Unsatisfiable,
            Some(_) if length == 0 => Wanted::Unsatisfiable,
            Some(suffix) => Wanted::Part(length.saturating_sub(suffix)..length),
            None => Wanted::Whole,
        };
    }
    let end = if last.is_empty() { Some(u64::MAX) } else { digits(last) };
    match (digits(first), end) {
        (Some(first), Some(last)) if first > last => Wanted::Whole,
        (Some(first), Some(_)) if first >= length => Wanted::Unsatisfiable,
        (Some(first), Some(last)) => Wanted::Part(first..last.saturating_add(1).min(length)),
        (None, _) | (_, None) => Wanted::Whole,
    }
}

/// Whether one of the tags of an `If-None-Match` header is `tag` (quoted), compared weakly.
pub(crate) fn matches_tag(header: &str, tag: &str) -> bool {
    header
        .split(',')
        .map(str::trim)
        .any(|candidate| candidate == "*" || candidate.strip_prefix("W/").unwrap_or(candidate) == tag)
}

/// Numbers too large to count are larger than any file.
fn digits(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        for (header, expected) in [
            (None, Wanted::Whole),
            (Some("bytes=0-99"), Wanted::Part(0..100)),
            (Some("bytes=0-0"), Wanted::Part(0..1)),
            (Some("bytes=990-"), Wanted::Part(990..1000)),
            (Some("bytes=-10"), Wanted::Part(990..1000)),
            (Some("bytes=-5000"), Wanted::Part(0..1000)),
            (Some("bytes=0-99999999999999999999"), Wanted::Part(0..1000)),
            (Some("bytes=1000-"), Wanted::Unsatisfiable),
            (Some("bytes=99999999999-"), Wanted::Unsatisfiable),
            (Some("bytes=-0"), Wanted::Unsatisfiable),
            (Some("bytes=5-4"), Wanted::Whole),
            (Some("bytes=0-1,5-6"), Wanted::Whole),
            (Some("items=0-1"), Wanted::Whole),
            (Some("Bytes=0-1"), Wanted::Part(0..2)),
            (Some("bytes=a-b"), Wanted::Whole),
        ] {
            assert_eq!(wanted(header, 1000), expected, "{header:?}");
        }
    }

    #[test]
    fn tags_match_exactly_or_by_star() {
        assert!(matches_tag("\"a\", W/\"b\"", "\"b\"") && matches_tag("*", "\"x\""));
        assert!(!matches_tag("\"ab\"", "\"a\""));
    }
}
