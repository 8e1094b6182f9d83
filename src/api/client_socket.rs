//! Whether the client of a request is still there. A server goes on with a request whose client has gone: it sees that the
//! other side says no more, and that may be all it wants to say. The SDKs never do so, and neither do proxies.

use std::any::Any;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use rustix::io::{Errno, dup};
use rustix::net::{RecvFlags, recv};

/// The connection that a request came by.
#[derive(Debug, Clone)]
pub(crate) struct ClientSocket(Arc<OwnedFd>);

/// To be called with every new connection.
pub fn remember_client(connection: &dyn Any, data: &mut Extensions) {
    let socket = connection.downcast_ref::<TcpStream>();
    // Without it the client is taken to be there.
    if let Some(copy) = socket.and_then(|socket| dup(socket).ok()) {
        data.insert(ClientSocket(Arc::new(copy)));
    }
}

impl ClientSocket {
    pub(crate) fn of(request: &HttpRequest) -> Option<Self> {
        request.conn_data::<Self>().cloned()
    }

    /// The client has closed the connection.
    pub(crate) fn is_closed(&self) -> bool {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        match recv(&self.0, &mut [0u8; 1][..], flags) {
            Ok((_, seen)) => seen == 0,
            Err(Errno::AGAIN | Errno::INTR) => false,
            Err(_) => true,
        }
    }
}
