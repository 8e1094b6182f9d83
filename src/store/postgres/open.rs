//! Opening the database: the settings of each connection, the checks, the migrations, the lock.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, PgConnection};

use super::link::{Own, Role, lock};
use crate::store::StoreError;
use crate::store::sql::{Connection, Readers, SqlStore, unavailable};

/// Older servers are no longer maintained.
const OLDEST_SERVER: i64 = 150_000;

/// Connections that read: a status call is short, but each waits for the network.
const READERS: u32 = 8;

/// Whoever gets no connection for this long is answered as unavailable.
const PATIENCE: Duration = Duration::from_secs(3);

/// What every connection asks of the server. A statement that takes longer than five seconds is lost anyway; a lock that is
/// held for two is held by a server that hangs, and a transaction that does nothing for two ends, so that a server that was
/// cut off lets go; a peer that does not answer is dead after eleven.
const SETTINGS: [(&str, &str); 7] = [
    ("statement_timeout", "5s"),
    ("lock_timeout", "2s"),
    ("idle_in_transaction_session_timeout", "2s"),
    ("tcp_keepalives_idle", "5"),
    ("tcp_keepalives_interval", "2"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "10000"),
];

/// Opens the store of a server and takes it over from the last one.
/// [`StoreError::Locked`] while another server has it.
pub async fn open(url: &str) -> Result<SqlStore, StoreError> {
    let options = options(url)?;
    let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(PATIENCE);
    let pool = pool.connect_lazy_with(options.clone());
    let mut connection = pool.acquire().await.map_err(unavailable)?;
    check(&mut connection).await?;
    let mut connection = Connection::Postgres(connection);
    if !lock(&mut connection).await? {
        return Err(StoreError::Locked);
    }
    let mut connection = migrated(connection).await?;
    let sql = "with writer as (insert into writers default values returning id)
               update server set generation = generation + 1 from writer where server.id = 1
               returning generation, writer.id as writer";
    let row = connection.query(sql).one().await?;
    let (generation, writer) = (row.get("generation")?, row.get("writer")?);
    // Of those that did not end in good order. A command beside a server does not take a day.
    connection.query("delete from writers where at < now() - interval '1 day'").run().await?;
    let own = Own::new(pool, connection, Role::Server { generation }, writer);
    Ok(start(own, options))
}

/// Opens the store beside a server that may be running, for a short task such as making a key.
pub async fn open_beside(url: &str) -> Result<SqlStore, StoreError> {
    let options = options(url)?;
    let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(PATIENCE);
    let pool = pool.connect_lazy_with(options.clone());
    let mut connection = pool.acquire().await.map_err(unavailable)?;
    check(&mut connection).await?;
    let mut connection = migrated(Connection::Postgres(connection)).await?;
    let writer =
        connection.query("insert into writers default values returning id").one().await?.get("id")?;
    Ok(start(Own::new(pool, connection, Role::Beside, writer), options))
}

/// Whether a server could use the database; changes nothing. Answers what it is.
pub async fn look(url: &str) -> Result<String, StoreError> {
    let connected = tokio::time::timeout(PATIENCE, options(url)?.connect()).await;
    let silent = |_| StoreError::Unavailable("it does not answer".to_owned());
    let mut connection = connected.map_err(silent)?.map_err(unavailable)?;
    check(&mut connection).await?;
    Ok(format!("PostgreSQL {}", setting(&mut connection, "server_version").await?))
}

fn start(own: Own, options: PgConnectOptions) -> SqlStore {
    let readers = PgPoolOptions::new().max_connections(READERS).acquire_timeout(PATIENCE);
    let readers = readers.connect_lazy_with(options.options([("default_transaction_read_only", "on")]));
    let ended = own.ended();
    SqlStore::start(own, Readers::Postgres(readers), None).ending(ended)
}

fn options(url: &str) -> Result<PgConnectOptions, StoreError> {
    let options = PgConnectOptions::from_str(url).map_err(unavailable)?;
    Ok(options.application_name("wanserve").options(SETTINGS).disable_statement_logging())
}

/// The server is new enough, takes writes, and makes them durable.
async fn check(connection: &mut PgConnection) -> Result<(), StoreError> {
    let refused = |why: String| Err(StoreError::Unavailable(why));
    let version: i64 = setting(connection, "server_version_num").await?.parse().unwrap_or_default();
    if version < OLDEST_SERVER {
        return refused(format!("PostgreSQL {} is too old: 15 is needed", version / 10_000));
    }
    if setting(connection, "transaction_read_only").await? == "on" {
        return refused("the PostgreSQL server only reads: it is a standby, or set to".to_owned());
    }
    for name in ["fsync", "synchronous_commit"] {
        if setting(connection, name).await? == "off" {
            return refused(format!("PostgreSQL runs with {name} = off: commits would not be durable"));
        }
    }
    if setting(connection, "full_page_writes").await? == "off" {
        tracing::warn!("PostgreSQL runs with full_page_writes = off: only some file systems survive that");
    }
    let encoding = setting(connection, "server_encoding").await?;
    if encoding != "UTF8" {
        return refused(format!("the database is encoded in {encoding}: UTF8 is needed"));
    }
    Ok(())
}

async fn setting(connection: &mut PgConnection, name: &str) -> Result<String, StoreError> {
    sqlx::query_scalar("select current_setting($1)")
        .bind(name)
        .fetch_one(connection)
        .await
        .map_err(unavailable)
}

/// Brought up to this version. A migration may take longer than any other statement; two at once wait for each other.
async fn migrated(mut connection: Connection) -> Result<Connection, StoreError> {
    connection.query("set statement_timeout = 0").run().await?;
    connection.query("set lock_timeout = 0").run().await?;
    if let Connection::Postgres(connection) = &mut connection {
        let migrated = sqlx::migrate!("migrations/postgres").run(&mut **connection).await;
        migrated.map_err(|error| StoreError::Unavailable(error.to_string()))?;
    }
    connection.query("reset statement_timeout").run().await?;
    connection.query("reset lock_timeout").run().await?;
    Ok(connection)
}
