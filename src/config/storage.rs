//! `[storage]`: where files lie.

use std::path::PathBuf;

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

/// Where the credentials for a bucket come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credentials {
    /// From `access_key_id` and its siblings, once.
    Keys,
    /// From `credentials_file`, again and again.
    File,
    /// From the container or the machine that the server runs in, whenever they end.
    Machine,
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
    /// `keys`, `file` or `machine`. `WANSERVE_STORAGE_CREDENTIALS`, default `keys`: every service has them.
    pub credentials: Credentials,
    /// Needed for `file`. `WANSERVE_STORAGE_CREDENTIALS_FILE`, default none.
    pub credentials_file: Option<PathBuf>,
    /// Needed for `keys`. `WANSERVE_STORAGE_ACCESS_KEY_ID`, default none.
    pub access_key_id: Option<String>,
    /// Needed for `keys`. `WANSERVE_STORAGE_SECRET_ACCESS_KEY`, default none.
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

impl Credentials {
    const NAMED: [(&'static str, Self); 3] =
        [("keys", Self::Keys), ("file", Self::File), ("machine", Self::Machine)];
}

impl Setting for Credentials {
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
            credentials: section.field("credentials", Credentials::Keys),
            credentials_file: section.field("credentials_file", None),
            access_key_id: section.field("access_key_id", None),
            secret_access_key: section.field("secret_access_key", None),
            session_token: section.field("session_token", None),
        };
        if storage.kind == StorageKind::S3 {
            let (keys, file) =
                (storage.credentials == Credentials::Keys, storage.credentials == Credentials::File);
            for (field, missing, why) in [
                ("bucket", storage.bucket.is_none(), "the kind is s3"),
                ("access_key_id", keys && storage.access_key_id.is_none(), "the credentials are keys"),
                (
                    "secret_access_key",
                    keys && storage.secret_access_key.is_none(),
                    "the credentials are keys",
                ),
                (
                    "credentials_file",
                    file && storage.credentials_file.is_none(),
                    "the credentials are a file",
                ),
            ] {
                if missing {
                    section.mistake(field, &format!("is needed where {why}"));
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
