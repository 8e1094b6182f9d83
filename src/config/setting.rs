//! How one setting is read from text. Messages quote the text, except those of secrets.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::domain::address::Cidr;

/// A value that a setting can have.
pub(super) trait Setting: Sized {
    /// From one text: an environment variable, a flag, or a single value of the file.
    fn parse(text: &str) -> Result<Self, String>;

    /// From a list of the file.
    fn parse_list(_texts: &[String]) -> Result<Self, String> {
        Err("takes one value, not a list".to_owned())
    }

    /// As the manual shows it.
    fn show(&self) -> String;
}

/// The value that goes by that name.
pub(super) fn choice<T: Copy>(text: &str, named: &[(&str, T)]) -> Result<T, String> {
    let found = named.iter().find(|(name, _)| *name == text);
    let names = || named.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(" nor ");
    found.map(|(_, value)| *value).ok_or_else(|| format!("{text:?} is neither {}", names()))
}

/// The name that the value goes by.
pub(super) fn name_of<T: PartialEq>(value: &T, named: &[(&str, T)]) -> String {
    let name = named.iter().find(|(_, other)| other == value).map_or("", |(name, _)| name);
    format!("`{name}`")
}

impl Setting for SocketAddr {
    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| format!("{text:?} is not an address and port such as 127.0.0.1:8080"))
    }

    fn show(&self) -> String {
        format!("`{self}`")
    }
}

impl Setting for PathBuf {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() { Err("a path cannot be empty".to_owned()) } else { Ok(text.into()) }
    }

    fn show(&self) -> String {
        format!("`{}`", self.display())
    }
}

impl Setting for String {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() { Err("cannot be empty".to_owned()) } else { Ok(text.to_owned()) }
    }

    fn show(&self) -> String {
        format!("`{self}`")
    }
}

impl Setting for bool {
    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| format!("{text:?} is neither true nor false"))
    }

    fn show(&self) -> String {
        format!("`{self}`")
    }
}

/// A whole number above zero.
impl Setting for u32 {
    fn parse(text: &str) -> Result<Self, String> {
        let number = text.parse().ok().filter(|number| *number > 0);
        number.ok_or_else(|| format!("{text:?} is not a whole number above 0"))
    }

    fn show(&self) -> String {
        format!("`{self}`")
    }
}

/// Bytes: a whole number above zero, alone or with `MB`, `GB` (powers of ten), `MiB` or `GiB` (of two).
impl Setting for u64 {
    fn parse(text: &str) -> Result<Self, String> {
        const UNITS: [(&str, u64); 4] =
            [("MiB", 1 << 20), ("GiB", 1 << 30), ("MB", 1_000_000), ("GB", 1_000_000_000)];
        let unit = UNITS.iter().find_map(|(name, bytes)| Some((text.strip_suffix(name)?, *bytes)));
        let (digits, unit) = unit.unwrap_or((text, 1));
        let number: Option<u64> = digits.trim_end().parse().ok();
        let bytes = number.and_then(|number| number.checked_mul(unit)).filter(|bytes| *bytes > 0);
        bytes.ok_or_else(|| format!("{text:?} is not a number of bytes, such as 24GB or 22GiB"))
    }

    fn show(&self) -> String {
        format!("`{self}`")
    }
}

/// A port.
impl Setting for u16 {
    fn parse(text: &str) -> Result<Self, String> {
        let number = text.parse().ok().filter(|number| *number > 0);
        number.ok_or_else(|| format!("{text:?} is not a port from 1 to 65535"))
    }

    fn show(&self) -> String {
        format!("`{self}`")
    }
}

impl Setting for Cidr {
    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error| format!("{text:?} is {error}"))
    }

    fn show(&self) -> String {
        format!("`{self}`")
    }
}

/// Whole seconds above zero.
impl Setting for Duration {
    fn parse(text: &str) -> Result<Self, String> {
        u32::parse(text).map(|seconds| Self::from_secs(u64::from(seconds)))
    }

    fn show(&self) -> String {
        format!("`{}`", self.as_secs())
    }
}

impl<T: Setting> Setting for Option<T> {
    fn parse(text: &str) -> Result<Self, String> {
        T::parse(text).map(Some)
    }

    fn show(&self) -> String {
        self.as_ref().map_or("none".to_owned(), T::show)
    }
}

/// Separated by commas in text.
impl<T: Setting> Setting for Vec<T> {
    fn parse(text: &str) -> Result<Self, String> {
        text.split(',').map(|item| T::parse(item.trim())).collect()
    }

    fn parse_list(texts: &[String]) -> Result<Self, String> {
        texts.iter().map(|item| T::parse(item)).collect()
    }

    fn show(&self) -> String {
        if self.is_empty() {
            return "none".to_owned();
        }
        self.iter().map(T::show).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_units() {
        let parse = <u64 as Setting>::parse;
        assert_eq!(parse("24000000000"), Ok(24_000_000_000));
        assert_eq!((parse("24GB"), parse("22 GiB")), (Ok(24_000_000_000), Ok(22 << 30)));
        assert_eq!((parse("500MB"), parse("1MiB")), (Ok(500_000_000), Ok(1 << 20)));
        for bad in ["", "0", "-1", "24 gigabytes", "1.5GB", "99999999999GB"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
