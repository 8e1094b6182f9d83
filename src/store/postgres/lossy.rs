//! A way to the database on which the answer to one commit is lost: the commit happens, and the connection ends.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use crate::store::cluster::Database;

/// What clients look for in the folder of a server.
const SOCKET: &str = ".s.PGSQL.5432";

/// As it stands in the message that prepares the statement.
const COMMIT: &[u8] = b"commit\0";

/// The way; it ends with the test's runtime.
pub(super) struct LossyWay {
    folder: tempfile::TempDir,
    to: String,
    lose: Arc<AtomicBool>,
}

impl LossyWay {
    pub(super) fn to(database: &Database) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(SOCKET)).unwrap();
        let (to, lose) = (database.url(), Arc::<AtomicBool>::default());
        let (server, losing) = (PathBuf::from(host(&to)).join(SOCKET), lose.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = UnixStream::connect(&server).await.unwrap();
                tokio::spawn(carry(client, server, losing.clone()));
            }
        });
        Self { folder, to, lose }
    }

    pub(super) fn url(&self) -> String {
        self.to.replace(host(&self.to), &self.folder.path().display().to_string())
    }

    /// From now on, once. The connection must not have committed before: only then its first commit is prepared.
    pub(super) fn lose_the_answer_to_a_commit(&self) {
        self.lose.store(true, Ordering::SeqCst);
    }

    pub(super) fn has_lost_it(&self) -> bool {
        !self.lose.load(Ordering::SeqCst)
    }
}

fn host(url: &str) -> &str {
    url.split_once("?host=").unwrap().1
}

/// Carries everything both ways; returning ends both connections.
async fn carry(mut client: UnixStream, mut server: UnixStream, lose: Arc<AtomicBool>) {
    let (mut asked, mut told) = ([0; 16 << 10], [0; 16 << 10]);
    let mut commit_follows = false;
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Some(asked) = read.ok().filter(|read| *read > 0).map(|read| &asked[..read]) else { return };
                if server.write_all(asked).await.is_err() {
                    return;
                }
                if commit_follows && lose.swap(false, Ordering::SeqCst) {
                    // It is answered once it has happened.
                    assert!(server.read(&mut told).await.unwrap() > 0);
                    return;
                }
                commit_follows = asked.windows(COMMIT.len()).any(|bytes| bytes == COMMIT);
            }
            read = server.read(&mut told) => {
                let Some(told) = read.ok().filter(|read| *read > 0).map(|read| &told[..read]) else { return };
                if client.write_all(told).await.is_err() {
                    return;
                }
            }
        }
    }
}
