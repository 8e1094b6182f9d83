//! A value that must not reach a log, an error or a debug print.

use std::fmt;

use super::setting::Setting;

/// 16 characters: shorter tokens can be guessed by trying.
const MIN_SECRET_CHARACTERS: usize = 16;

/// A secret text. Prints as `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("***")
    }
}

impl Setting for Secret {
    fn parse(text: &str) -> Result<Self, String> {
        let secret = text.trim();
        if secret.chars().count() < MIN_SECRET_CHARACTERS {
            return Err(format!("a secret needs at least {MIN_SECRET_CHARACTERS} characters"));
        }
        Ok(Self(secret.to_owned()))
    }

    fn show(&self) -> String {
        "***".to_owned()
    }
}
