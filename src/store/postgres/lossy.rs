//! A way to the database that can be closed, and on which one commit goes wrong: its answer is lost, or it does not arrive.

use std::path::PathBuf;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use crate::store::cluster::Database;

/// What clients look for in the folder of a server.
const SOCKET: &str = ".s.PGSQL.5432";

/// As it stands in the message that prepares the statement.
const COMMIT: &[u8] = b"commit\0";

/// What the way does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Carries everything.
    Open,
    /// Carries the next commit, and ends the connection instead of its answer. Then it is open.
    LosesAnAnswer,
    /// Carries everything up to the next commit, with which it closes.
    HoldsACommit,
    /// Carries nobody who comes now, and keeps whoever waits for the answer to a commit waiting until it is open.
    Closed,
}

/// The way; it ends with the test's runtime.
pub(super) struct LossyWay {
    folder: tempfile::TempDir,
    to: String,
    way: watch::Sender<Way>,
}

impl LossyWay {
    pub(super) fn to(database: &Database) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(SOCKET)).unwrap();
        let (to, way) = (database.url(), watch::Sender::new(Way::Open));
        let (server, ways) = (PathBuf::from(host(&to)).join(SOCKET), way.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // Whoever is not carried sees the connection end.
                if *ways.borrow() != Way::Closed
                    && let Ok(server) = UnixStream::connect(&server).await
                {
                    tokio::spawn(carry(client, server, ways.clone()));
                }
            }
        });
        Self { folder, to, way }
    }

    pub(super) fn url(&self) -> String {
        self.to.replace(host(&self.to), &self.folder.path().display().to_string())
    }

    /// From now on, once. The connection must not have committed before: only then its first commit is prepared.
    pub(super) fn lose_the_answer_to_a_commit(&self) {
        self.way.send_replace(Way::LosesAnAnswer);
    }

    pub(super) fn has_lost_it(&self) -> bool {
        *self.way.borrow() == Way::Open
    }

    /// Likewise, and closes the way.
    pub(super) fn hold_a_commit(&self) {
        self.way.send_replace(Way::HoldsACommit);
    }

    /// Until it holds one.
    pub(super) async fn is_closed(&self) {
        self.way.subscribe().wait_for(|way| *way == Way::Closed).await.unwrap();
    }

    pub(super) fn close(&self) {
        self.way.send_replace(Way::Closed);
    }

    /// A commit that it holds is lost.
    pub(super) fn open(&self) {
        self.way.send_replace(Way::Open);
    }
}

fn host(url: &str) -> &str {
    url.split_once("?host=").unwrap().1
}

/// Carries both ways; returning ends both connections.
async fn carry(mut client: UnixStream, mut server: UnixStream, way: watch::Sender<Way>) {
    let (mut asked, mut told) = ([0; 16 << 10], [0; 16 << 10]);
    let mut commit_follows = false;
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Some(asked) = read.ok().filter(|read| *read > 0).map(|read| &asked[..read]) else { return };
                let now = *way.borrow();
                if commit_follows && now == Way::HoldsACommit {
                    way.send_replace(Way::Closed);
                    way.subscribe().wait_for(|way| *way == Way::Open).await.unwrap();
                    return;
                }
                if server.write_all(asked).await.is_err() {
                    return;
                }
                if commit_follows && now == Way::LosesAnAnswer {
                    // It is answered once it has happened.
                    assert!(server.read(&mut told).await.unwrap() > 0);
                    way.send_replace(Way::Open);
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
