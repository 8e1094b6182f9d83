//! `[content]`: how finished files go out.

use super::setting::{Setting, choice, name_of};
use super::sources::Section;

/// The ways out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Through the server.
    Proxy,
    /// By an address that the client is sent to.
    Redirect,
}

/// How finished files go out.
#[derive(Debug, Clone)]
pub struct Content {
    /// `proxy` or `redirect`, unless a request says otherwise. `WANSERVE_CONTENT_DELIVERY`, default `proxy`: a plain
    /// client need not follow anything.
    pub delivery: Delivery,
}

impl Delivery {
    const NAMED: [(&'static str, Self); 2] = [("proxy", Self::Proxy), ("redirect", Self::Redirect)];
}

impl Setting for Delivery {
    fn parse(text: &str) -> Result<Self, String> {
        choice(text, &Self::NAMED)
    }

    fn show(&self) -> String {
        name_of(self, &Self::NAMED)
    }
}

impl Content {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self { delivery: section.field("delivery", Delivery::Proxy) }
    }
}
