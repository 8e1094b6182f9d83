//! The sockets: the main listener, the operator's, and the workers' Unix socket.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// The longest path that the kernel takes for a Unix socket, without the closing zero.
const MAX_SOCKET_PATH_BYTES: usize = 107;

/// Why a socket cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("cannot listen on {address}: {source}")]
    Tcp { address: SocketAddr, source: io::Error },
    #[error("cannot make the workers' socket {}: {source}", path.display())]
    Unix { path: PathBuf, source: io::Error },
    #[error("the path of the data folder is too long for a socket in it: {}", .0.display())]
    PathTooLong(PathBuf),
}

/// A socket on a TCP address, and the address it got.
pub(super) fn tcp(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ListenError> {
    let failed = |source| ListenError::Tcp { address, source };
    let listener = TcpListener::bind(address).map_err(failed)?;
    let got = listener.local_addr().map_err(failed)?;
    Ok((listener, got))
}

/// The workers' socket in the data folder, which only its owner can enter. The folder's lock must be held:
/// a file that is there was left by a dead server.
pub(super) fn workers(folder: &Path) -> Result<(UnixListener, PathBuf), ListenError> {
    let path = folder.join("workers.sock");
    if path.as_os_str().len() > MAX_SOCKET_PATH_BYTES {
        return Err(ListenError::PathTooLong(path));
    }
    let failed = |source| ListenError::Unix { path: path.clone(), source };
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(&path).map_err(failed)?;
    Ok((listener, path))
}

/// A server that has been started.
pub(super) type Running = actix_web::dev::Server;

/// The started servers, to be stopped together.
#[derive(Default)]
pub(super) struct Servers(Vec<actix_web::dev::ServerHandle>);

impl Servers {
    /// Drives the server on this thread.
    pub(super) fn add(&mut self, server: Running) {
        self.0.push(server.handle());
        actix_web::rt::spawn(async move {
            if let Err(error) = server.await {
                tracing::error!("a listener failed: {error}");
            }
        });
    }

    /// Takes no more requests and waits for those being answered, as long as each server was told to.
    pub(super) async fn stop(self) {
        futures_util::future::join_all(self.0.iter().map(|server| server.stop(true))).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_servers_socket_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        drop(workers(folder.path()).unwrap());
        workers(folder.path()).unwrap();
    }

    #[test]
    fn a_taken_address_is_named() {
        let (_held, address) = tcp("127.0.0.1:0".parse().unwrap()).unwrap();
        let error = tcp(address).unwrap_err().to_string();
        assert!(error.contains(&address.to_string()), "{error}");
    }
}
