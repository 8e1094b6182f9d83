//! How a worker reaches its server: over a Unix socket as a child, over TCP from another machine.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder};

/// A server that does not even accept the connection by then is down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerAddress {
    /// The socket in its data folder.
    Socket(PathBuf),
    /// `http://host:port` or `https://…`, without a path, and the token for workers.
    Url { base: String, token: String },
}

/// Puts files where the server says, outside of it. Sends no token, follows no redirect.
#[derive(Clone, Default)]
pub struct DirectClient(Arc<OnceLock<Client>>);

/// Requests to one server.
#[derive(Clone)]
pub struct ServerClient {
    client: Client,
    base: String,
    token: Option<String>,
}

impl ServerClient {
    /// Fails if TLS cannot be set up for an `https` address. Connects with the first request.
    #[expect(clippy::disallowed_methods, reason = "this is the place for it")]
    pub fn new(address: ServerAddress) -> Result<Self, reqwest::Error> {
        let builder =
            Client::builder().connect_timeout(CONNECT_TIMEOUT).redirect(reqwest::redirect::Policy::none());
        match address {
            ServerAddress::Socket(path) => {
                // No certificates: a bare machine may have none, and a socket needs none.
                let client = builder.no_proxy().tls_certs_only([]).unix_socket(path).build()?;
                Ok(Self { client, base: "http://server".to_owned(), token: None })
            }
            ServerAddress::Url { base, token } => {
                let client = builder.build()?;
                Ok(Self { client, base: base.trim_end_matches('/').to_owned(), token: Some(token) })
            }
        }
    }

    /// A request to a path of the server, which begins with `/`.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }
}

impl DirectClient {
    /// A `PUT` to an absolute address. Fails if TLS cannot be set up, which is tried with the first address:
    /// a machine whose server keeps files itself needs no certificates.
    #[expect(clippy::disallowed_methods, reason = "this is the place for it")]
    pub fn put(&self, url: &str) -> Result<RequestBuilder, reqwest::Error> {
        let client = match self.0.get() {
            Some(client) => client,
            None => {
                let builder = Client::builder().connect_timeout(CONNECT_TIMEOUT);
                let client = builder.redirect(reqwest::redirect::Policy::none()).build()?;
                self.0.get_or_init(|| client)
            }
        };
        Ok(client.put(url))
    }
}
