//! `[storage]`: where files lie.

use super::secret::Secret;
use super::setting::{Setting, choice, name_of};
use super::sources::Section;

/// The kinds of storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StorageKind {
    /// A folder of this machine, below the data folder.
    Local,
    /// A bucket.
    S3,
}

/// Where files lie, and how a bucket is reached.
#[derive(Debug, Clone)]
pub struct Storage {
    /// `local` or `s3`. `WANSERVE_STORAGE_KIND`, default `local`: it needs nothing.
    pub kind: StorageKind,
    /// Needed for `s3`. `WANSERVE_STORAGE_BUCKET`, default none.
    pub bucket: Option<String>,
    /// `WANSERVE_STORAGE_REGION`, default `us-east-1`: what services without regions take.
    pub region: String,
    /// Of the service. `WANSERVE_STORAGE_ENDPOINT`, default none: Amazon's in the region.
    pub endpoint: Option<String>,
    /// The same as clients reach it. `WANSERVE_STORAGE_PUBLIC_ENDPOINT`, default none: the same address.
    pub public_endpoint: Option<String>,
    /// Before every key, so that a bucket can be shared. `WANSERVE_STORAGE_PREFIX`, default none.
    pub prefix: Option<String>,
    /// The bucket in the path instead of the host name. `WANSERVE_STORAGE_PATH_STYLE`, default `false`: Amazon's way.
    pub path_style: bool,
    /// Needed for `s3`. `WANSERVE_STORAGE_ACCESS_KEY_ID`, default none.
    pub access_key_id: Option<String>,
    /// Needed for `s3`. `WANSERVE_STORAGE_SECRET_ACCESS_KEY`, default none.
    pub secret_access_key: Option<Secret>,
    /// Of temporary credentials. `WANSERVE_STORAGE_SESSION_TOKEN`, default none.
    pub session_token: Option<Secret>,
}

impl StorageKind {
    const NAMED: [(&'static str, Self); 2] = [("local", Self::Local), ("s3", Self::S3)];
}

impl Setting for StorageKind {
    fn parse(text: &str) -> Result<Self, String> {
        choice(text, &Self::NAMED)
    }

    fn show(&self) -> String {
        name_of(self, &Self::NAMED)
    }
}

impl Storage {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let storage = Self {
            kind: section.field("kind", StorageKind::Local),
            bucket: section.field("bucket", None),
            region: section.field("region", "us-east-1".to_owned()),
            endpoint: section.field("endpoint", None),
            public_endpoint: section.field("public_endpoint", None),
            prefix: section.field("prefix", None),
            path_style: section.field("path_style", false),
            access_key_id: section.field("access_key_id", None),
            secret_access_key: section.field("secret_access_key", None),
            session_token: section.field("session_token", None),
        };
        if storage.kind == StorageKind::S3 {
            let needed = [
                ("bucket", storage.bucket.is_some()),
                ("access_key_id", storage.access_key_id.is_some()),
                ("secret_access_key", storage.secret_access_key.is_some()),
            ];
            for (field, given) in needed {
                if !given {
                    section.mistake(field, "is needed where the kind is s3");
                }
            }
        }
        storage
    }

    /// Of the service, Amazon's unless configured.
    pub fn service(&self) -> String {
        let amazon = || format!("https://s3.{}.amazonaws.com", self.region);
        self.endpoint.clone().unwrap_or_else(amazon)
    }
}
