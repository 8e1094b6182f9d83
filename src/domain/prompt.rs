//! From the prompt as submitted to the text that is encoded. Pure text work: counting tokens is the tokenizer's business.

use unicode_normalization::UnicodeNormalization;

use super::html::unescape;

/// The text that the encoder reads: [`normalize_prompt`] if wanted, then [`clean_prompt`].
pub fn effective_prompt(prompt: &str, normalize: bool) -> String {
    if normalize { clean_prompt(&normalize_prompt(prompt)) } else { clean_prompt(prompt) }
}

/// NFC, without invisible characters and controls, white space collapsed, full-width punctuation as ASCII.
pub fn normalize_prompt(prompt: &str) -> String {
    let visible: String = prompt
        .nfc()
        .filter_map(|symbol| match symbol {
            '\t' | '\n' => Some(' '),
            '\u{200b}' | '\u{2060}' | '\u{feff}' | '\u{ad}' => None,
            control if control.is_control() => None,
            other => Some(half_width(other)),
        })
        .collect();
    collapse_white_space(&visible)
}

/// What the reference implementation does to every prompt: broken encodings repaired, HTML entities resolved twice,
/// white space collapsed.
pub fn clean_prompt(prompt: &str) -> String {
    let plain = without_terminal_escapes(prompt);
    let repaired = plsfix::fix_text(&plain, None);
    collapse_white_space(&unescape(&unescape(&repaired)))
}

/// Without the sequences that colour a terminal's text: ESC, `[`, digits and semicolons, a letter.
fn without_terminal_escapes(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let after = part.trim_start_matches(|symbol: char| symbol.is_ascii_digit() || symbol == ';');
        match after.strip_prefix(|symbol: char| symbol.is_ascii_alphabetic()) {
            Some(rest) => plain.push_str(rest),
            None => plain.extend(["\u{1b}[", part]),
        }
    }
    plain
}

/// Whether most letters are outside the Latin script. Without any letter: no.
pub fn is_mostly_non_latin(prompt: &str) -> bool {
    let letters = prompt.chars().filter(|symbol| symbol.is_alphabetic());
    let (latin, other) = letters.fold((0_usize, 0_usize), |(latin, other), letter| {
        if is_latin(letter) { (latin + 1, other) } else { (latin, other + 1) }
    });
    other > latin
}

fn collapse_white_space(text: &str) -> String {
    let mut collapsed = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !collapsed.is_empty() {
            collapsed.push(' ');
        }
        collapsed.push_str(word);
    }
    collapsed
}

fn half_width(symbol: char) -> char {
    match symbol {
        '，' | '、' => ',',
        '。' => '.',
        '！' => '!',
        '？' => '?',
        '；' => ';',
        '：' => ':',
        '（' => '(',
        '）' => ')',
        '“' | '”' => '"',
        '‘' | '’' => '\'',
        other => other,
    }
}

/// Basic Latin to Latin Extended-B, and the later Latin blocks.
fn is_latin(letter: char) -> bool {
    matches!(letter, '\u{0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' | '\u{2c60}'..='\u{2c7f}' | '\u{a720}'..='\u{a7ff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalization_follows_the_contract() {
        for (submitted, expected) in [
            ("一只猫，跃起。", "一只猫,跃起."),
            ("“a”‘b’（c）！？；：、", "\"a\"'b'(c)!?;:,"),
            ("a\u{200b}b\u{2060}c\u{feff}d\u{ad}e", "abcde"),
            ("a\tb\nc\u{7}d\u{85}e", "a b cde"),
            ("  a \u{3000} b\r\n", "a b"),
            ("e\u{301}", "é"),
        ] {
            assert_eq!(normalize_prompt(submitted), expected, "{submitted:?}");
        }
    }

    #[test]
    fn cleaning_repairs_encodings_and_resolves_entities_twice() {
        assert_eq!(clean_prompt("a &amp;lt; b"), "a < b");
        assert_eq!(clean_prompt(" schÃ¶n \n "), "schön");
        assert_eq!(clean_prompt("Ãœber MÃ¼nchen"), "Über München");
        assert_eq!(clean_prompt("a\u{7}b\u{1b}[1;31mred\u{1b}[0m &copy"), "abred ©");
        assert_eq!(clean_prompt("â€œquotedâ€\u{9d} ﬁne ｆｕｌｌ！"), "\"quoted\" fine full!");
        assert_eq!(effective_prompt("猫，", true), "猫,");
    }

    #[test]
    fn scripts_are_told_apart_by_their_letters() {
        assert!(is_mostly_non_latin("一只金毛犬 runs"));
        assert!(!is_mostly_non_latin("A red ball rolls, schön."));
        assert!(!is_mostly_non_latin("12 34 !"));
        assert!(is_mostly_non_latin("Красный шар"));
    }
}
