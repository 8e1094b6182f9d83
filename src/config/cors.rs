//! `[cors]`: which web pages may call the API from a browser.

use super::setting::Setting;
use super::sources::Section;

/// Cross-origin access.
#[derive(Debug, Clone)]
pub struct Cors {
    /// Origins whose pages may call, each exactly as the browser sends it. `WANSERVE_CORS_ALLOWED_ORIGINS`, default empty:
    /// no page may.
    pub allowed_origins: Vec<Origin>,
}

/// `https://app.example.com`, with a port where it is not the usual one; never a path, never `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Cors {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self { allowed_origins: section.field("allowed_origins", Vec::new()) }
    }
}

impl Setting for Origin {
    fn parse(text: &str) -> Result<Self, String> {
        let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-:[]".contains(&byte);
        match host {
            Some(host) if !host.is_empty() && host.bytes().all(plain) => Ok(Self(text.to_owned())),
            Some(_) | None => Err(format!("{text:?} is not an origin such as https://app.example.com")),
        }
    }

    fn show(&self) -> String {
        format!("`{}`", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_and_a_host() {
        for good in ["https://app.example.com", "http://localhost:3000", "http://[::1]:80"] {
            assert_eq!(Origin::parse(good).unwrap().as_str(), good);
        }
        for bad in ["*", "app.example.com", "https://", "https://a/b", "https://*.a", "https://A", "null"] {
            assert!(Origin::parse(bad).is_err(), "{bad}");
        }
    }
}
