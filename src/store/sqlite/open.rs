//! Opening the file: the process lock, the durability settings, the checks, the migrations.

use std::fs;
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, SqliteConnection};

use super::Own;
use super::older::chain_older;
use crate::store::StoreError;
use crate::store::lock_file::LockFile;
use crate::store::sql::{Connection, Readers, SqlStore, unavailable};

/// Older versions have a bug in resetting the WAL that loses committed writes.
const OLDEST_SQLITE: (u32, u32, u32) = (3, 51, 3);

/// Connections that read: status calls are short.
const READERS: u32 = 4;

/// A read that gets no connection for this long is answered as unavailable.
const READER_PATIENCE: Duration = Duration::from_secs(3);

/// How long to wait for another process that writes, such as `wanserve keys`.
const BUSY_PATIENCE: Duration = Duration::from_secs(5);

/// `pragma synchronous` when every commit reaches the disk before it is answered.
const SYNCHRONOUS_FULL: i64 = 2;

/// Opens the store of a server, made if absent. [`StoreError::Locked`] if another server has it.
pub async fn open(path: &Path) -> Result<SqlStore, StoreError> {
    let lock = lock(path).await?;
    connect(path, Some(lock)).await
}

/// Opens the store beside a server that may be running, for a short task such as making a key.
pub async fn open_beside(path: &Path) -> Result<SqlStore, StoreError> {
    connect(path, None).await
}

async fn connect(path: &Path, lock: Option<LockFile>) -> Result<SqlStore, StoreError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_PATIENCE)
        .disable_statement_logging();
    let writer = SqlitePoolOptions::new().max_connections(1).connect_with(options.clone()).await;
    let mut connection = writer.map_err(unavailable)?.acquire().await.map_err(unavailable)?;
    check(&mut connection).await?;
    sqlx::migrate!("migrations/sqlite")
        .run(&mut *connection)
        .await
        .map_err(|error| StoreError::Unavailable(error.to_string()))?;
    let mut connection = Connection::Sqlite(connection);
    chain_older(&mut connection).await?;
    let readers = SqlitePoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(READER_PATIENCE)
        .connect_with(options.create_if_missing(false).pragma("query_only", "on"))
        .await
        .map_err(unavailable)?;
    Ok(SqlStore::start(Own(connection), Readers::Sqlite(readers), lock))
}

/// The version is new enough, the file is whole, and the settings took hold.
async fn check(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let version: String = text(connection, "select sqlite_version()").await?;
    let mut numbers = version.split('.').map(|part| part.parse().unwrap_or(0));
    let mut number = || numbers.next().unwrap_or(0);
    if (number(), number(), number()) < OLDEST_SQLITE {
        return Err(StoreError::Unavailable(format!("SQLite {version} is too old")));
    }
    let whole = text(connection, "pragma quick_check(1)").await?;
    if whole != "ok" {
        return Err(StoreError::Corrupt(whole));
    }
    let mode = text(connection, "pragma journal_mode").await?;
    let synchronous: i64 =
        sqlx::query_scalar("pragma synchronous").fetch_one(connection).await.map_err(unavailable)?;
    if mode != "wal" || synchronous != SYNCHRONOUS_FULL {
        let why = format!("journal mode {mode}, synchronous {synchronous}: commits would not be durable");
        return Err(StoreError::Unavailable(why));
    }
    Ok(())
}

async fn text(connection: &mut SqliteConnection, sql: &'static str) -> Result<String, StoreError> {
    sqlx::query_scalar(sql).fetch_one(connection).await.map_err(unavailable)
}

/// Takes the folder for this process alone.
async fn lock(path: &Path) -> Result<LockFile, StoreError> {
    let io = |error: std::io::Error| StoreError::Unavailable(error.to_string());
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(io)?;
    }
    LockFile::take(&path.with_extension("lock")).await.map_err(io)?.ok_or(StoreError::Locked)
}
