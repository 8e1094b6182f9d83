//! `[metrics]`: who may read the metrics.

use super::secret::Secret;
use super::sources::Section;

/// Access to `/metrics`.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// The bearer token for `/metrics`. `WANSERVE_METRICS_TOKEN`, default none: only a loopback listener answers then.
    pub token: Option<Secret>,
}

impl Metrics {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self { token: section.field("token", None) }
    }
}
