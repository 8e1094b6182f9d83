//! HTML entities as browsers and the reference implementation resolve them: also without their semicolon, and with the
//! historical meanings of numbers that are no characters.

/// Every entity in `text` replaced by what it stands for, once; text that only looks like one is kept.
pub(super) fn unescape(text: &str) -> String {
    let mut resolved = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        resolved.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        rest = match numeric(after).or_else(|| named(after)) {
            Some((meaning, left)) => {
                resolved.push_str(&meaning);
                left
            }
            None => {
                resolved.push('&');
                after
            }
        };
    }
    resolved.push_str(rest);
    resolved
}

/// The longest name, in characters.
const MAX_NAME_CHARS: usize = 32;

/// Names that need no semicolon: those of HTML before 4.
const WITHOUT_SEMICOLON: [&str; 106] = [
    "AElig", "AMP", "Aacute", "Acirc", "Agrave", "Aring", "Atilde", "Auml", "COPY", "Ccedil", "ETH",
    "Eacute", "Ecirc", "Egrave", "Euml", "GT", "Iacute", "Icirc", "Igrave", "Iuml", "LT", "Ntilde", "Oacute",
    "Ocirc", "Ograve", "Oslash", "Otilde", "Ouml", "QUOT", "REG", "THORN", "Uacute", "Ucirc", "Ugrave",
    "Uuml", "Yacute", "aacute", "acirc", "acute", "aelig", "agrave", "amp", "aring", "atilde", "auml",
    "brvbar", "ccedil", "cedil", "cent", "copy", "curren", "deg", "divide", "eacute", "ecirc", "egrave",
    "eth", "euml", "frac12", "frac14", "frac34", "gt", "iacute", "icirc", "iexcl", "igrave", "iquest",
    "iuml", "laquo", "lt", "macr", "micro", "middot", "nbsp", "not", "ntilde", "oacute", "ocirc", "ograve",
    "ordf", "ordm", "oslash", "otilde", "ouml", "para", "plusmn", "pound", "quot", "raquo", "reg", "sect",
    "shy", "sup1", "sup2", "sup3", "szlig", "thorn", "times", "uacute", "ucirc", "ugrave", "uml", "uuml",
    "yacute", "yen", "yuml",
];

/// What the bytes 0x80 to 0x9f mean on a page that says a number but means Windows-1252; the rest is itself.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}',
    '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// `#65;`, `#x41;`, with or without the semicolon: the meaning, and what follows.
fn numeric(text: &str) -> Option<(String, &str)> {
    let digits = text.strip_prefix('#')?;
    let (digits, radix) = match digits.strip_prefix(['x', 'X']) {
        Some(hexadecimal) => (hexadecimal, 16),
        None => (digits, 10),
    };
    let end = digits.find(|symbol: char| !symbol.is_digit(radix)).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at(end);
    let number = digits.chars().try_fold(0u32, |number, digit| {
        Some(number.saturating_mul(radix).saturating_add(digit.to_digit(radix)?))
    })?;
    let rest = rest.strip_prefix(';').unwrap_or(rest);
    (!digits.is_empty()).then(|| (character(number), rest))
}

/// Nothing for what is never a character.
fn character(number: u32) -> String {
    let meaning = match number {
        0 | 0xd800..=0xdfff => Some('\u{fffd}'),
        0x80..=0x9f => WINDOWS_1252.get(number as usize - 0x80).copied(),
        0x1..=0x8 | 0xb | 0xe..=0x1f | 0x7f | 0xfdd0..=0xfdef => None,
        plane if plane <= 0x10_ffff && plane & 0xfffe == 0xfffe => None,
        other => Some(char::from_u32(other).unwrap_or('\u{fffd}')),
    };
    meaning.map(String::from).unwrap_or_default()
}

/// A name with its semicolon, or the longest one that needs none: the meaning, and what follows.
fn named(text: &str) -> Option<(String, &str)> {
    let stops = |symbol: char| matches!(symbol, '\t' | '\n' | '\u{c}' | ' ' | '<' | '&' | '#' | ';');
    let length =
        text.chars().take(MAX_NAME_CHARS).take_while(|symbol| !stops(*symbol)).map(char::len_utf8).sum();
    let (name, rest) = text.split_at(length);
    if let (Some(rest), Some(meaning)) = (rest.strip_prefix(';'), lookup(name)) {
        return Some((meaning, rest));
    }
    let short = WITHOUT_SEMICOLON
        .into_iter()
        .filter(|short| name.starts_with(short))
        .max_by_key(|short| short.len())?;
    Some((lookup(short)?, text.strip_prefix(short)?))
}

fn lookup(name: &str) -> Option<String> {
    let entity = format!("&{name};");
    let meaning = html_escape::decode_html_entities(&entity);
    (meaning != entity).then(|| meaning.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values are those of Python's `html.unescape`.
    #[test]
    fn entities_are_those_of_the_reference() {
        for (text, expected) in [
            ("&amp;lt;", "&lt;"),
            ("&copy 2020 &notin; &notit;", "© 2020 ∉ ¬it;"),
            ("&eacute &Eacute; &AMP; &LT &GT;", "é É & < >"),
            ("&ampx &ltx &frac12", "&x <x ½"),
            ("&bogus; &; & &&lt;", "&bogus; &; & &<"),
            ("&#65; &#x41;&#X1F600 &#65", "A A😀 A"),
            ("&#0;&#128;&#150;&#xD800;&#x110000;", "\u{fffd}€–\u{fffd}\u{fffd}"),
            ("&#99999999999999;&#1;&#xFFFE;&#;&#x;", "\u{fffd}&#;&#x;"),
            ("&猫; &lt猫", "&猫; <猫"),
        ] {
            assert_eq!(unescape(text), expected, "{text}");
        }
    }

    #[test]
    fn every_name_without_semicolon_means_what_it_means_with_one() {
        for name in WITHOUT_SEMICOLON {
            assert_eq!(unescape(&format!("&{name}")), unescape(&format!("&{name};")));
            assert_ne!(unescape(&format!("&{name}")), format!("&{name}"));
        }
    }
}
