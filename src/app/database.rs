//! The store that the configuration names: a file of the data folder, or a PostgreSQL database.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use actix_web::{App, HttpServer};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::data_folder::DataFolder;
use super::listeners::Servers;
use super::server::ServeError;
use crate::api;
use crate::config::Config;
use crate::store::{SqlStore, StoreError, postgres, sqlite};

/// A server that stands by tries this often to take the place of the other.
const TRY_EVERY: Duration = Duration::from_secs(1);

/// A server that starts waits this long for what was left of the one before it: PostgreSQL notices after eleven seconds that
/// a machine is gone.
const LET_GO: Duration = Duration::from_secs(15);

/// Opens the store of a server. [`StoreError::Locked`] if another server has it.
pub async fn open_store(config: &Config, folder: &DataFolder) -> Result<SqlStore, StoreError> {
    match &config.store.url {
        Some(url) => postgres::open(url.expose()).await,
        None => sqlite::open(&folder.database()).await,
    }
}

/// Opens it beside a server that may be running, for a short task.
pub async fn open_store_beside(config: &Config, folder: &DataFolder) -> Result<SqlStore, StoreError> {
    match &config.store.url {
        Some(url) => postgres::open_beside(url.expose()).await,
        None => sqlite::open_beside(&folder.database()).await,
    }
}

/// Opens the store of a server that may stand by for another, and answers on `socket` meanwhile that it does.
/// `None` if it was told to stop.
pub(super) async fn open_in_turn(
    config: &Config,
    folder: &DataFolder,
    socket: &TcpListener,
    stop: &CancellationToken,
) -> Result<Option<SqlStore>, ServeError> {
    let began = Instant::now();
    loop {
        match open_store(config, folder).await {
            Err(StoreError::Locked) if config.store.standby => break,
            Err(StoreError::Locked) if config.store.url.is_some() && began.elapsed() < LET_GO => {
                tokio::time::sleep(TRY_EVERY).await;
            }
            opened => return Ok(Some(opened?)),
        }
    }
    info!("standing by: another server has the database");
    let socket = socket.try_clone().map_err(ServeError::Http)?;
    let server = HttpServer::new(|| App::new().configure(api::standby)).workers(1);
    let server = server.shutdown_timeout(1).disable_signals().listen(socket).map_err(ServeError::Http)?;
    let mut answering = Servers::default();
    answering.add(server.run());
    let opened = loop {
        tokio::select! {
            () = stop.cancelled() => break None,
            () = tokio::time::sleep(TRY_EVERY) => {}
        }
        match open_store(config, folder).await {
            Ok(store) => break Some(store),
            Err(StoreError::Locked) => {}
            // Whatever ended the other server may have ended the database for a while.
            Err(error) => warn!(%error, "standing by"),
        }
    };
    answering.stop().await;
    if opened.is_some() {
        info!("the database is this server's now");
    }
    Ok(opened)
}
