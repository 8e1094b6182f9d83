//! `[auth]`: secrets that would otherwise be made at the first start.

use super::secret::Secret;
use super::sources::Section;

/// Secrets of the installation, and its name in tokens. Unset secrets live in the data folder, mode 0600.
#[derive(Debug, Clone)]
pub struct Auth {
    /// Keys the hashes of API keys; losing it voids them all. `WANSERVE_AUTH_PEPPER`, default none: the data folder's.
    pub pepper: Option<Secret>,
    /// Signs tokens and page cursors. `WANSERVE_AUTH_SIGNING_KEY`, default none: the data folder's.
    pub signing_key: Option<Secret>,
    /// Stands as `iss` in every token: the address by which clients know the server. `WANSERVE_AUTH_ISSUER`, default `wanserve`.
    pub issuer: String,
}

impl Auth {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self {
            pepper: section.field("pepper", None),
            signing_key: section.field("signing_key", None),
            issuer: section.field("issuer", "wanserve".to_owned()),
        }
    }
}
