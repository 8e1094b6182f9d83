//! Where files lie, as configured.

use std::sync::Arc;

use super::data_folder::DataFolder;
use super::measured::Measured;
use super::server::ServeError;
use crate::config::{self, Config, Credentials, StorageKind};
use crate::metrics::Metrics;
use crate::storage::{Local, S3, S3Access, S3Settings, Storage, StorageError};

/// The storage, counted.
pub(super) async fn files(
    config: &Config,
    folder: &DataFolder,
    metrics: &Arc<Metrics>,
) -> Result<Arc<dyn Storage>, ServeError> {
    match config.storage.kind {
        StorageKind::Local => {
            let local =
                Local::open(&folder.files()).map_err(StorageError::from).map_err(ServeError::Storage)?;
            Ok(Arc::new(Measured::new(local, metrics.clone())))
        }
        StorageKind::S3 => {
            let bucket = S3::open(&settings(&config.storage)).await.map_err(ServeError::Storage)?;
            Ok(Arc::new(Measured::new(bucket, metrics.clone())))
        }
    }
}

/// The configuration has been checked: what a bucket needs is there.
fn settings(storage: &config::Storage) -> S3Settings {
    let secret = |secret: &Option<config::Secret>| secret.as_ref().map(|secret| secret.expose().to_owned());
    let access = match storage.credentials {
        Credentials::Keys => S3Access::Keys {
            access_key_id: storage.access_key_id.clone().unwrap_or_default(),
            secret_access_key: secret(&storage.secret_access_key).unwrap_or_default(),
            session_token: secret(&storage.session_token),
        },
        Credentials::File => S3Access::File(storage.credentials_file.clone().unwrap_or_default()),
        Credentials::Machine => S3Access::Machine,
    };
    S3Settings {
        endpoint: storage.service(),
        public_endpoint: storage.public_endpoint.clone(),
        region: storage.region.clone(),
        bucket: storage.bucket.clone().unwrap_or_default(),
        prefix: storage.prefix.clone().unwrap_or_default(),
        path_style: storage.path_style,
        access,
    }
}
