//! The connection that writes: found again when it is lost, as long as nobody has taken the database over meanwhile.
//!
//! A commit whose answer is lost may have happened. Each transaction counts itself in the row of whoever writes it, so that
//! the database knows what became of it: whoever waits is told the truth as soon as there is a connection again. Only if
//! there is none for long are they told that the store does not answer; should that commit then turn out to have happened,
//! this server ends, for what it holds in memory and what it told its workers is no longer what is stored.

use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::store::StoreError;
use crate::store::sql::{Connection, Link, Row, unavailable};

/// The lock on a database is this number: the product's name.
const LOCK: i64 = i64::from_be_bytes(*b"wanserve");

/// An idle connection is looked at this often, so that a lost lock is taken again before somebody needs it, and a server that
/// was superseded ends.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A connection that has not answered a ping for this long is lost.
const PING_PATIENCE: Duration = Duration::from_secs(3);

/// Between two tries to connect. Whoever wants to write meanwhile is refused at once.
const RETRY_EVERY: Duration = Duration::from_millis(250);

/// How long whoever waits for a commit waits for a connection that tells what became of it.
const TRUTH_PATIENCE: Duration = Duration::from_secs(15);

/// What a store is open for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Role {
    /// For the server that took the database over with this number.
    Server { generation: i64 },
    /// For a command beside it.
    Beside,
}

/// The connection that writes.
pub(super) struct Own {
    /// Makes one connection at a time.
    pool: PgPool,
    connection: Option<Connection>,
    role: Role,
    /// The row that counts what this connection and those after it have committed.
    writer: i64,
    /// What that row says once the transaction under way is committed.
    commits: Option<i64>,
    /// The same of a commit which nobody knows anything of, and which was reported as failed.
    doubt: Option<i64>,
    /// The last failure to connect, and when there is to be another try.
    failed: Option<(Instant, String)>,
    ended: watch::Sender<Option<String>>,
}

/// Takes the lock of the database, which goes with the connection. Whether it was free.
pub(super) async fn lock(connection: &mut Connection) -> Result<bool, StoreError> {
    let sql = "select cast(pg_try_advisory_lock($1) as text) as taken";
    Ok(connection.query(sql).bind(LOCK).one().await?.get::<&str>("taken")? == "true")
}

impl Own {
    pub(super) fn new(pool: PgPool, connection: Connection, role: Role, writer: i64) -> Self {
        let (ended, _) = watch::channel(None);
        let connection = Some(connection);
        Self { pool, connection, role, writer, commits: None, doubt: None, failed: None, ended }
    }

    /// Why this store cannot be written any more, once it cannot.
    pub(super) fn ended(&self) -> watch::Receiver<Option<String>> {
        self.ended.subscribe()
    }

    /// Nothing of it is to be heard any more: the server undoes what was under way and frees the lock.
    fn forget(&mut self) {
        if let Some(Connection::Postgres(connection)) = self.connection.take() {
            drop(connection.detach());
        }
    }

    /// Whether the connection answers. What it answers is whose the database is, so that a server that was superseded ends
    /// though it has nothing to write.
    async fn is_alive(&mut self) -> bool {
        let Ok(Ok(row)) = timeout(PING_PATIENCE, self.look()).await else { return false };
        self.check(&row).ok();
        true
    }

    /// What [`Own::check`] wants.
    async fn look(&mut self) -> Result<Row, StoreError> {
        let Some(connection) = &mut self.connection else { return Err(lost()) };
        connection.query("select generation from server").one().await
    }

    /// Ends this store if the row tells of another server's generation.
    fn check(&self, row: &Row) -> Result<(), StoreError> {
        let now: i64 = row.get("generation")?;
        match self.role {
            Role::Server { generation } if generation != now => {
                Err(self.end("another server has taken the database over"))
            }
            Role::Server { .. } | Role::Beside => Ok(()),
        }
    }

    /// Connects again, if the last failure was not just now.
    async fn reconnect(&mut self) -> Result<(), StoreError> {
        if let Some(why) = self.ended.borrow().clone() {
            return Err(StoreError::Unavailable(why));
        }
        if let Some((until, why)) = &self.failed
            && Instant::now() < *until
        {
            return Err(StoreError::Unavailable(why.clone()));
        }
        let connected = self.connect().await;
        self.failed = connected.as_ref().err().map(|error| (Instant::now() + RETRY_EVERY, error.to_string()));
        if connected.is_ok() {
            tracing::info!("the store is connected again");
        }
        connected
    }

    async fn connect(&mut self) -> Result<(), StoreError> {
        self.forget();
        let connection = self.pool.acquire().await.map_err(unavailable)?;
        self.connection = Some(Connection::Postgres(connection));
        let holds = self.holds().await;
        if holds.is_err() {
            self.forget();
        }
        holds
    }

    /// Whether the database is this server's still.
    async fn holds(&mut self) -> Result<(), StoreError> {
        let Role::Server { .. } = self.role else { return Ok(()) };
        // First, because whoever has taken over holds the lock, too.
        let row = self.look().await?;
        self.check(&row)?;
        let Some(connection) = &mut self.connection else { return Err(lost()) };
        if !lock(connection).await? {
            let why = "another connection holds the lock of the database".to_owned();
            return Err(StoreError::Unavailable(why));
        }
        if let Some(commits) = self.doubt
            && self.happened(commits).await?
        {
            return Err(self.end("a write that was reported as failed turns out to have happened"));
        }
        self.doubt = None;
        Ok(())
    }

    /// This store is not written any more.
    fn end(&self, why: &str) -> StoreError {
        self.ended.send_replace(Some(why.to_owned()));
        StoreError::Unavailable(why.to_owned())
    }

    /// Begins a transaction that nobody else's can interleave with, and that is this server's to begin.
    async fn transaction(&mut self) -> Result<(), StoreError> {
        let Some(connection) = &mut self.connection else { return Err(lost()) };
        connection.query("begin").run().await?;
        let sql = "with writer as
                   (update writers set commits = commits + 1, at = now() where id = $1 returning commits)
                   select generation, commits from server left join writer on true for update of server";
        let row = connection.query(sql).bind(self.writer).one().await?;
        self.check(&row)?;
        self.commits = Some(row.get("commits")?);
        Ok(())
    }

    /// Whether the transaction that counted this far was committed. Waits for the lock of one that is still under way.
    async fn happened(&mut self, commits: i64) -> Result<bool, StoreError> {
        let Some(connection) = &mut self.connection else { return Err(lost()) };
        let sql = "select commits from writers where id = $1 for update";
        let row = connection.query(sql).bind(self.writer).one().await?;
        Ok(row.get::<i64>("commits")? >= commits)
    }

    /// What became of a transaction, from whatever connection there is or comes.
    async fn fate(&mut self, commits: i64) -> Result<bool, StoreError> {
        if !self.is_alive().await {
            self.failed = None;
            self.reconnect().await?;
        }
        self.happened(commits).await
    }
}

impl Link for Own {
    async fn begin(&mut self) -> Result<&mut Connection, StoreError> {
        if let Err(error) = self.transaction().await {
            self.abandon().await;
            if self.connection.is_some() {
                return Err(error);
            }
            // Nothing was under way yet, so a connection that broke is no reason to refuse anybody.
            self.reconnect().await?;
            self.transaction().await?;
        }
        self.connection.as_mut().ok_or_else(lost)
    }

    async fn commit(&mut self) -> Result<(), StoreError> {
        let (Some(connection), Some(commits)) = (&mut self.connection, self.commits.take()) else {
            return Err(lost());
        };
        let Err(error) = connection.query("commit").run().await else { return Ok(()) };
        tracing::warn!(%error, "the answer to a commit was lost");
        // If it did not even arrive, what it was to commit is still to be seen from this connection.
        self.abandon().await;
        let until = Instant::now() + TRUTH_PATIENCE;
        loop {
            match self.fate(commits).await {
                Ok(true) => return Ok(()),
                Ok(false) => return Err(error),
                Err(_) if self.ended.borrow().is_some() => return Err(error),
                Err(_) if Instant::now() < until => sleep(RETRY_EVERY).await,
                Err(_) => {
                    self.doubt = Some(commits);
                    // Whatever connection comes next asks before anything else.
                    self.forget();
                    return Err(error);
                }
            }
        }
    }

    async fn abandon(&mut self) {
        let Some(connection) = &mut self.connection else { return };
        if connection.query("rollback").run().await.is_err() {
            self.forget();
        }
    }

    async fn idle(&self) {
        sleep(LOOK_EVERY).await;
    }

    async fn tend(&mut self) {
        if self.ended.borrow().is_none()
            && !self.is_alive().await
            && let Err(error) = self.reconnect().await
        {
            tracing::warn!(%error, "the store is not connected");
        }
    }

    async fn close(self) -> Result<(), StoreError> {
        let Some(mut connection) = self.connection else { return Ok(()) };
        connection.query("delete from writers where id = $1").bind(self.writer).run().await?;
        connection.close().await
    }
}

fn lost() -> StoreError {
    StoreError::Unavailable("the connection is lost".to_owned())
}
