//! The connection that writes: found again when it is lost, as long as nobody has taken the database over meanwhile.
//!
//! A commit whose answer is lost may have happened. Its transaction has a number, and the server knows what became of it:
//! so whoever waits is told the truth as soon as there is a connection again. Only if there is none for long are they told
//! that the store does not answer; should that commit then turn out to have happened, this server ends, for what it holds
//! in memory and what it told its workers is no longer what is stored.

use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::store::StoreError;
use crate::store::sql::{Connection, Link, unavailable};

/// The lock on a database is this number: the product's name.
const LOCK: i64 = i64::from_be_bytes(*b"wanserve");

/// An idle connection is looked at this often, so that a lost lock is taken again before somebody needs it.
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
    /// The number of the transaction under way.
    transaction: Option<String>,
    /// That of a commit which nobody knows anything of, and which was reported as failed.
    doubt: Option<String>,
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
    pub(super) fn new(pool: PgPool, connection: Connection, role: Role) -> Self {
        let (ended, _) = watch::channel(None);
        let connection = Some(connection);
        Self { pool, connection, role, transaction: None, doubt: None, failed: None, ended }
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

    async fn is_alive(&mut self) -> bool {
        let Some(connection) = &mut self.connection else { return false };
        let answer = connection.query("select 1").run();
        matches!(timeout(PING_PATIENCE, answer).await, Ok(Ok(_)))
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
        let Some(connection) = &mut self.connection else { return Err(lost()) };
        let Role::Server { generation } = self.role else { return Ok(()) };
        if !lock(connection).await? {
            let why = "another connection holds the lock of the database".to_owned();
            return Err(StoreError::Unavailable(why));
        }
        let now: i64 = connection.query("select generation from server").one().await?.get("generation")?;
        if now != generation {
            return Err(self.end("another server has taken the database over"));
        }
        if let Some(transaction) = self.doubt.take()
            && self.happened(&transaction).await.inspect_err(|_| self.doubt = Some(transaction.clone()))?
        {
            return Err(self.end("a write that was reported as failed turns out to have happened"));
        }
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
        let sql =
            "select generation, cast(pg_current_xact_id() as text) as transaction from server for update";
        let row = connection.query(sql).one().await?;
        let now: i64 = row.get("generation")?;
        self.transaction = Some(row.get("transaction")?);
        match self.role {
            Role::Server { generation } if generation != now => {
                Err(self.end("another server has taken the database over"))
            }
            Role::Server { .. } | Role::Beside => Ok(()),
        }
    }

    /// Whether a transaction was committed, as the server that ran it knows.
    async fn happened(&mut self, transaction: &str) -> Result<bool, StoreError> {
        let Some(connection) = &mut self.connection else { return Err(lost()) };
        let sql = "select coalesce(pg_xact_status(cast($1 as xid8)), 'forgotten') as fate";
        let row = connection.query(sql).bind(transaction).one().await?;
        match row.get::<&str>("fate")? {
            "committed" => Ok(true),
            "in progress" => Err(StoreError::Unavailable("a commit is still under way".to_owned())),
            _ => Ok(false),
        }
    }

    /// What became of a transaction, from whatever connection there is or comes.
    async fn fate(&mut self, transaction: &str) -> Result<bool, StoreError> {
        if !self.is_alive().await {
            self.failed = None;
            self.reconnect().await?;
        }
        self.happened(transaction).await
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
        let (Some(connection), Some(transaction)) = (&mut self.connection, self.transaction.take()) else {
            return Err(lost());
        };
        let Err(error) = connection.query("commit").run().await else { return Ok(()) };
        tracing::warn!(%error, "the answer to a commit was lost");
        let until = Instant::now() + TRUTH_PATIENCE;
        loop {
            match self.fate(&transaction).await {
                Ok(true) => return Ok(()),
                Ok(false) => return Err(error),
                Err(_) if self.ended.borrow().is_some() => return Err(error),
                Err(_) if Instant::now() < until => sleep(RETRY_EVERY).await,
                Err(_) => {
                    self.doubt = Some(transaction);
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
        match self.connection {
            Some(connection) => connection.close().await,
            None => Ok(()),
        }
    }
}

fn lost() -> StoreError {
    StoreError::Unavailable("the connection is lost".to_owned())
}
