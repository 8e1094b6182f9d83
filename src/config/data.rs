//! `[data]`: where the server keeps what must survive.

use std::path::PathBuf;

use super::sources::Section;

/// The data folder.
#[derive(Debug, Clone)]
pub struct Data {
    /// Database, files and secrets. `WANSERVE_DATA_DIR`, default `./data`: a clone runs without rights elsewhere.
    pub dir: PathBuf,
}

impl Data {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self { dir: section.field("dir", PathBuf::from("./data")) }
    }
}
