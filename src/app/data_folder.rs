//! The data folder: one server at a time, and the secrets that the first start makes.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::config::{Auth, Secret};
use crate::domain::clock::Random;
use crate::jobs::Pepper;
use crate::store::LockFile;

/// 256 bits: nobody finds them by trying.
const SECRET_BYTES: usize = 32;

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataFolderError {
    #[error("another server uses the data folder {}", .0.display())]
    InUse(PathBuf),
    #[error("the data folder {} cannot be used: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// A folder that is there. Its content is for the owner of the process only.
#[derive(Debug, Clone)]
pub struct DataFolder {
    root: PathBuf,
}

/// The secrets of an installation.
pub struct Secrets {
    pub pepper: Pepper,
    pub signing_key: Vec<u8>,
}

/// The pepper of an installation; a later one gets a higher number.
const PEPPER_VERSION: u32 = 1;

impl DataFolder {
    /// Makes the folder, mode 0700, if it is not there.
    pub fn open(root: &Path) -> Result<Self, DataFolderError> {
        let failed = |source| DataFolderError::Io { path: root.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(root).map_err(failed)?;
        // Absolute, because workers are started with paths below it.
        Ok(Self { root: fs::canonicalize(root).map_err(failed)? })
    }

    /// To be held while a server runs on the folder. Fails if another one does.
    pub async fn lock(&self) -> Result<LockFile, DataFolderError> {
        let taken = LockFile::take(&self.root.join("lock")).await.map_err(|source| self.failed(source))?;
        taken.ok_or_else(|| DataFolderError::InUse(self.root.clone()))
    }

    /// Where the database lies.
    pub fn database(&self) -> PathBuf {
        self.root.join("wanserve.db")
    }

    /// Where files are stored.
    pub fn files(&self) -> PathBuf {
        self.root.join("files")
    }

    /// The folder itself, absolute.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The configured secrets, or those of the folder; what is missing is made.
    pub fn secrets(&self, auth: &Auth, random: &dyn Random) -> Result<Secrets, DataFolderError> {
        Ok(Secrets {
            pepper: Pepper::new(PEPPER_VERSION, self.secret("pepper", auth.pepper.as_ref(), random)?),
            signing_key: self.secret("signing_key", auth.signing_key.as_ref(), random)?,
        })
    }

    fn secret(
        &self,
        name: &str,
        configured: Option<&Secret>,
        random: &dyn Random,
    ) -> Result<Vec<u8>, DataFolderError> {
        if let Some(configured) = configured {
            return Ok(configured.expose().as_bytes().to_vec());
        }
        let path = self.root.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(text.trim().as_bytes().to_vec()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut bytes = [0; SECRET_BYTES];
                random.fill(&mut bytes);
                let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                write_secret(&path, &text).map_err(|source| self.failed(source))?;
                Ok(text.into_bytes())
            }
            Err(error) => Err(self.failed(error)),
        }
    }

    fn failed(&self, source: io::Error) -> DataFolderError {
        DataFolderError::Io { path: self.root.clone(), source }
    }
}

/// Whole or not at all: a torn pepper would void every key.
fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    let aside = path.with_extension("new");
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&aside)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    fs::rename(&aside, path)?;
    File::open(path.parent().expect("a file in the data folder"))?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[derive(Debug)]
    struct Fixed(u8);

    impl Random for Fixed {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    const NOTHING_SET: Auth = Auth { pepper: None, signing_key: None, issuer: String::new() };

    #[test]
    fn secrets_are_made_once_and_for_the_owner_only() {
        let place = tempfile::tempdir().unwrap();
        let folder = DataFolder::open(&place.path().join("deep/data")).unwrap();
        let first = folder.secrets(&NOTHING_SET, &Fixed(1)).unwrap();
        let second = folder.secrets(&NOTHING_SET, &Fixed(2)).unwrap();
        assert_eq!(first.signing_key, second.signing_key);
        assert_eq!(first.signing_key.len(), 64);
        for (name, mode) in [("pepper", 0o600), ("signing_key", 0o600), (".", 0o700)] {
            let permissions = fs::metadata(folder.root().join(name)).unwrap().permissions();
            assert_eq!(permissions.mode() & 0o777, mode, "{name}");
        }
    }

    #[tokio::test]
    async fn one_server_at_a_time() {
        let place = tempfile::tempdir().unwrap();
        let folder = DataFolder::open(place.path()).unwrap();
        let held = folder.lock().await.unwrap();
        assert!(matches!(folder.lock().await, Err(DataFolderError::InUse(_))));
        drop(held);
        folder.lock().await.unwrap();
    }
}
