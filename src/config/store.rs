//! `[store]`: where the records and the queue lie.

use super::secret::Secret;
use super::sources::Section;

/// How addresses of PostgreSQL databases begin.
const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

/// Which database, and what to do if another server has it.
#[derive(Debug, Clone)]
pub struct Store {
    /// A PostgreSQL database, such as `postgres://user:password@host/database?sslmode=verify-full`; secret, for the password
    /// in it. `WANSERVE_STORE_URL`, default none: a file of the data folder.
    pub url: Option<Secret>,
    /// Whether to wait until the server that has the database ends, and go on in its place. `WANSERVE_STORE_STANDBY`,
    /// default `false`: a second server by mistake should be noticed.
    pub standby: bool,
}

impl Store {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let store = Self { url: section.field("url", None), standby: section.field("standby", false) };
        let known =
            |url: &Secret| SCHEMES.iter().any(|scheme| url.expose().to_ascii_lowercase().starts_with(scheme));
        if store.url.as_ref().is_some_and(|url| !known(url)) {
            section.mistake("url", "an address that begins with postgres:// is needed");
        }
        if store.standby && store.url.is_none() {
            section.mistake("standby", "needs a url: the database in a data folder has one server");
        }
        store
    }
}
