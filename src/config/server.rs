//! `[server]`: the listeners.

use std::net::{Ipv4Addr, SocketAddr};

use super::sources::Section;
use crate::domain::address::Cidr;

/// Loopback by default: nothing is exposed until someone says so.
const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// Where the server listens.
#[derive(Debug, Clone)]
pub struct Server {
    /// The API, health, documents and metrics; port 0 takes a free one. `WANSERVE_SERVER_LISTEN`, default `127.0.0.1:8080`.
    pub listen: SocketAddr,
    /// The operator API; port 0 takes a free one. `WANSERVE_SERVER_ADMIN_LISTEN`, default `127.0.0.1:8081`.
    pub admin_listen: SocketAddr,
    /// What clients put before `/v1`, for addresses that the server makes. `WANSERVE_SERVER_PUBLIC_URL`, default none:
    /// `http://` and the host that the request names.
    pub public_url: Option<String>,
    /// Proxies whose `X-Forwarded-For` is believed where strangers are counted. `WANSERVE_SERVER_TRUSTED_PROXIES`,
    /// default empty: anybody can write that header.
    pub trusted_proxies: Vec<Cidr>,
}

impl Server {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self {
            listen: section.field("listen", loopback(8080)),
            admin_listen: section.field("admin_listen", loopback(8081)),
            public_url: section.field("public_url", None),
            trusted_proxies: section.field("trusted_proxies", Vec::new()),
        }
    }
}
