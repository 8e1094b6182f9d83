//! As whom the bucket is asked, also where that changes while the server runs: a file is read anew for every request, and
//! what the surroundings lend is asked for again before it ends. Shows no credential to anybody.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use s3::{
    Auth, Credentials, CredentialsProvider, CredentialsSnapshot, CredentialsTlsRootStore,
    DynCredentialsProvider,
};
use tracing::{info, warn};

use super::fault::storage_error;
use crate::storage::StorageError;

/// The section of the file that counts.
const PROFILE: &str = "[default]";

/// What a provider answers, in time.
type Lookup<'a> = Pin<Box<dyn Future<Output = s3::Result<CredentialsSnapshot>> + Send + 'a>>;

/// Where the server gets its credentials for a bucket.
#[derive(Clone)]
pub enum S3Access {
    /// As configured, for as long as the server runs.
    Keys { access_key_id: String, secret_access_key: String, session_token: Option<String> },
    /// The profile `default` of a file in the form that Amazon's tools share.
    File(PathBuf),
    /// What the container or the machine lends to whoever runs in it.
    Machine,
}

/// Ready to sign. Fails where there are no credentials now.
pub(super) async fn auth(access: &S3Access) -> Result<Auth, StorageError> {
    match access {
        S3Access::Keys { access_key_id, secret_access_key, session_token } => {
            let keys = credentials(access_key_id, secret_access_key, session_token.as_deref());
            keys.map(Auth::Static)
        }
        S3Access::File(path) => Ok(Auth::provider(Arc::new(FromFile::open(path).await?))),
        S3Access::Machine => {
            let lent = Auth::from_imds_with_tls_root_store(CredentialsTlsRootStore::System).await;
            let lent = lent.map_err(storage_error)?;
            if let Auth::Provider(lender) = &lent {
                return Ok(Auth::provider(Arc::new(Lent(lender.clone()))));
            }
            Ok(lent)
        }
    }
}

/// How long what is signed now can work, if the credentials end.
pub(super) async fn remaining(auth: &Auth) -> Result<Option<Duration>, StorageError> {
    let Auth::Provider(provider) = auth else { return Ok(None) };
    let ends = provider.credentials_async().await.map_err(storage_error)?.expires_at();
    // The client signs by the same clock.
    let now = SystemTime::now();
    Ok(ends.map(|ends| SystemTime::from(ends).duration_since(now).unwrap_or_default()))
}

/// Credentials that end, and are asked for again some minutes before.
#[derive(Debug)]
struct Lent(DynCredentialsProvider);

impl CredentialsProvider for Lent {
    /// In a task of its own: the client's cache takes a renewal that was broken off, as by a caller who hung up, for one
    /// that still goes on, and would wait for it for ever.
    fn credentials_async(&self) -> Lookup<'_> {
        let lender = self.0.clone();
        let renewing = tokio::spawn(async move { lender.credentials_async().await });
        Box::pin(async move {
            let failed = |_| s3::Error::transport("the renewal of the credentials broke off", None);
            renewing.await.map_err(failed)?
        })
    }
}

/// Credentials of a file that others rewrite.
struct FromFile {
    path: PathBuf,
    /// What was read last, and whether that was the last time.
    known: Mutex<(Credentials, bool)>,
}

impl FromFile {
    async fn open(path: &Path) -> Result<Self, StorageError> {
        let known = (read(path).await.map_err(StorageError::Refused)?, true);
        Ok(Self { path: path.to_owned(), known: Mutex::new(known) })
    }

    /// A file that cannot be read now, as while it is replaced, leaves what was read before.
    async fn current(&self) -> Credentials {
        let read = read(&self.path).await;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match read {
            Ok(read) => {
                if read.access_key_id != known.0.access_key_id {
                    info!("the bucket's credentials have been replaced");
                }
                *known = (read, true);
            }
            Err(why) => {
                if known.1 {
                    warn!("the bucket's credentials stay as they were: {why}");
                }
                known.1 = false;
            }
        }
        known.0.clone()
    }
}

impl std::fmt::Debug for FromFile {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("FromFile").field("path", &self.path).finish_non_exhaustive()
    }
}

impl CredentialsProvider for FromFile {
    fn credentials_async(&self) -> Lookup<'_> {
        Box::pin(async { Ok(CredentialsSnapshot::new(self.current().await)) })
    }
}

async fn read(path: &Path) -> Result<Credentials, String> {
    let place = path.display();
    let text = tokio::fs::read_to_string(path).await.map_err(|error| format!("{place}: {error}"))?;
    parse(&text).map_err(|why| format!("{place}: {why}"))
}

/// Says what is missing, and quotes nothing.
fn parse(text: &str) -> Result<Credentials, String> {
    let lines = text.lines().map(str::trim).skip_while(|line| *line != PROFILE).skip(1);
    let lines: Vec<&str> = lines.take_while(|line| !line.starts_with('[')).collect();
    let value = |name: &str| {
        let pairs = lines.iter().filter_map(|line| line.split_once('='));
        pairs.map(|(field, value)| (field.trim(), value.trim())).find(|(field, _)| *field == name)
    };
    let needed = |name: &str| {
        let found = value(name).map(|(_, value)| value).filter(|value| !value.is_empty());
        found.ok_or_else(|| format!("no `{name}` in {PROFILE}"))
    };
    let token = value("aws_session_token").map(|(_, token)| token).filter(|token| !token.is_empty());
    let (id, secret) = (needed("aws_access_key_id")?, needed("aws_secret_access_key")?);
    credentials(id, secret, token).map_err(|error| error.to_string())
}

fn credentials(id: &str, secret: &str, token: Option<&str>) -> Result<Credentials, StorageError> {
    let keys = Credentials::new(id, secret).map_err(storage_error)?;
    match token {
        Some(token) => keys.with_session_token(token).map_err(storage_error),
        None => Ok(keys),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_read_as_amazons_tools_write_it() {
        let text = "# ours\n[other]\naws_access_key_id = OTHER\n\n[default]\r\naws_access_key_id=ID\n \
                    aws_secret_access_key = a/b=c+d \naws_session_token = t==\n[last]\naws_access_key_id = LAST\n";
        let keys = parse(text).unwrap();
        assert_eq!((keys.access_key_id.as_str(), keys.secret_access_key.as_str()), ("ID", "a/b=c+d"));
        assert_eq!(keys.session_token.as_deref(), Some("t=="));
        for (bad, missing) in [
            ("", "aws_access_key_id"),
            ("[default]\naws_access_key_id = ID\n[x]\naws_secret_access_key = S", "aws_secret_access_key"),
            ("[default]\naws_access_key_id =\naws_secret_access_key = canary", "aws_access_key_id"),
        ] {
            let why = parse(bad).err().unwrap();
            assert!(why.contains(missing) && !why.contains("canary"), "{why}");
        }
    }
}
