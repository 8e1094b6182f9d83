//! The client for requests that strangers ask for. It carries no cookies, no credentials and no proxy, follows no redirect
//! by itself, and gives up at a size and at a time.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER,
};
use reqwest::{Client, ClientBuilder, Response, StatusCode};
use tokio::time::{Instant, timeout_at};
use tracing::warn;
use url::Host;

use super::policy::{Policy, Purpose, Refusal, Target};
use super::resolver::{CheckedNames, NameError, Names};

/// 10 MiB: the contract's limit for a picture.
const MAX_IMAGE_BYTES: usize = 10 << 20;

/// The contract's number of hops behind the first URL of a picture.
const MAX_REDIRECTS: usize = 3;

/// A peer that does not accept by then is down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// For a whole exchange, redirects included: someone waits for it.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(15);

/// What is read of a receiver's answer before the connection is dropped.
const MAX_ANSWER_BYTES: usize = 4 << 10;

/// The outgoing client. Cheap to clone.
#[derive(Clone)]
pub struct Outgoing {
    client: Client,
    policy: Arc<Policy>,
    names: CheckedNames,
    limits: Limits,
}

/// What an exchange may take.
#[derive(Debug, Clone, Copy)]
struct Limits {
    total: Duration,
    image_bytes: usize,
}

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("the URL is not allowed: {0}")]
    Refused(#[from] Refusal),
    #[error("more than {MAX_IMAGE_BYTES} bytes")]
    TooLarge,
    /// The text is for the log.
    #[error("the picture cannot be fetched: {0}")]
    Failed(String),
}

/// A message for a receiver.
#[derive(Debug, Clone)]
pub struct Post {
    /// `content-type` and whatever else the receiver needs.
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// What a receiver answered. Its body is read and dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostAnswer {
    pub status: u16,
    /// `Retry-After` in seconds, if it has that form.
    pub retry_after: Option<Duration>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    #[error("the URL is not allowed: {0}")]
    Refused(#[from] Refusal),
    #[error("no answer in time")]
    Timeout,
    /// The text is for the log.
    #[error("no connection: {0}")]
    Failed(String),
}

impl Outgoing {
    /// On a machine without certificates nothing is trusted over `https`, but the program runs. Fails if there is no TLS.
    pub fn new(policy: Policy, names: Arc<dyn Names>) -> Result<Self, reqwest::Error> {
        let policy = Arc::new(policy);
        let names = CheckedNames::new(names, Arc::clone(&policy));
        let client = Self::builder(&names).build().or_else(|error| {
            warn!(error = plain(error), "no certificates on this machine: no picture or webhook over https");
            Self::builder(&names).tls_certs_only([]).build()
        })?;
        let limits = Limits { total: TOTAL_TIMEOUT, image_bytes: MAX_IMAGE_BYTES };
        Ok(Self { client, policy, names, limits })
    }

    #[expect(clippy::disallowed_methods, reason = "this is the place for it")]
    fn builder(names: &CheckedNames) -> ClientBuilder {
        Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .retry(reqwest::retry::never())
            .dns_resolver(names.clone())
            .connect_timeout(CONNECT_TIMEOUT)
            // No connection outlives its request: each one is to an address checked for that request.
            .pool_max_idle_per_host(0)
            .user_agent(concat!("wanserve/", env!("CARGO_PKG_VERSION")))
    }

    /// Judges a URL now, its name's addresses included. A name that does not resolve now may do so later: it passes.
    pub async fn check(&self, purpose: Purpose, url: &str) -> Result<(), Refusal> {
        let target = self.policy.check(purpose, url)?;
        let Some(Host::Domain(name)) = target.url().host() else { return Ok(()) };
        match tokio::time::timeout(CONNECT_TIMEOUT, self.names.resolve(name)).await {
            Ok(Err(NameError::Refused(refusal))) => Err(refusal),
            Ok(Ok(_) | Err(NameError::Unresolved(_) | NameError::Empty)) | Err(_) => Ok(()),
        }
    }

    /// The bytes that a URL of a picture leads to; what they are is for others to judge.
    pub async fn fetch_image(&self, url: &str) -> Result<Bytes, FetchError> {
        tokio::time::timeout(self.limits.total, self.follow(url))
            .await
            .unwrap_or_else(|_| Err(FetchError::Failed("took too long".to_owned())))
    }

    /// Sends a message once.
    pub async fn post(&self, url: &str, message: Post) -> Result<PostAnswer, PostError> {
        let target = self.policy.check(Purpose::Webhook, url)?;
        let ends = Instant::now() + self.limits.total;
        let mut answer =
            timeout_at(ends, self.send(&target, message)).await.unwrap_or(Err(PostError::Timeout))?;
        let status = answer.status().as_u16();
        let retry_after = answer.headers().get(RETRY_AFTER).and_then(seconds);
        // The status has decided; a body that breaks off or takes too long changes nothing.
        timeout_at(ends, drain(&mut answer)).await.ok();
        Ok(PostAnswer { status, retry_after })
    }

    async fn follow(&self, url: &str) -> Result<Bytes, FetchError> {
        let mut target = self.policy.check(Purpose::Image, url)?;
        for _ in 0..=MAX_REDIRECTS {
            let request = self
                .client
                .get(target.url().clone())
                .header(ACCEPT, "image/png, image/jpeg, image/webp")
                .header(ACCEPT_ENCODING, "identity");
            let answer = request.send().await.map_err(|error| match refusal(&error) {
                Some(refusal) => FetchError::Refused(refusal),
                None => FetchError::Failed(plain(error)),
            })?;
            self.check_peer(&answer)?;
            if !answer.status().is_redirection() {
                return self.read_image(answer).await;
            }
            let location = answer.headers().get(LOCATION).and_then(|location| location.to_str().ok());
            let location = location.ok_or_else(|| FetchError::Failed("redirects nowhere".to_owned()))?;
            target = self.policy.check_redirect(Purpose::Image, &target, location)?;
        }
        Err(Refusal::TooManyRedirects.into())
    }

    async fn read_image(&self, mut answer: Response) -> Result<Bytes, FetchError> {
        if answer.status() != StatusCode::OK {
            return Err(FetchError::Failed(format!("answered {}", answer.status().as_u16())));
        }
        if answer.headers().get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
            return Err(FetchError::Failed("encoded although we refused that".to_owned()));
        }
        let most = self.limits.image_bytes;
        if answer.content_length().is_some_and(|length| length > most as u64) {
            return Err(FetchError::TooLarge);
        }
        let mut image = BytesMut::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| FetchError::Failed(plain(error)))? {
            if image.len() + chunk.len() > most {
                return Err(FetchError::TooLarge);
            }
            image.extend_from_slice(&chunk);
        }
        Ok(image.freeze())
    }

    /// Answers as soon as the status and the headers are there.
    async fn send(&self, target: &Target, message: Post) -> Result<Response, PostError> {
        let request = self
            .client
            .post(target.url().clone())
            .header(ACCEPT_ENCODING, "identity")
            .headers(message.headers)
            .body(message.body);
        let answer = request.send().await.map_err(|error| match refusal(&error) {
            Some(refusal) => PostError::Refused(refusal),
            None if error.is_timeout() => PostError::Timeout,
            None => PostError::Failed(plain(error)),
        })?;
        self.check_peer(&answer)?;
        Ok(answer)
    }

    /// The resolver was asked before; this catches a client that dialled something else.
    fn check_peer(&self, answer: &Response) -> Result<(), Refusal> {
        let peer: Option<IpAddr> = answer.remote_addr().map(|address| address.ip());
        if peer.is_some_and(|peer| self.policy.allows(peer)) { Ok(()) } else { Err(Refusal::Address) }
    }
}

/// Reads and drops what a receiver says, up to a size.
async fn drain(answer: &mut Response) {
    let mut read = 0;
    while read < MAX_ANSWER_BYTES
        && let Ok(Some(chunk)) = answer.chunk().await
    {
        read += chunk.len();
    }
}

/// The refusal that our resolver gave to the client, if that is why the request failed.
fn refusal(error: &reqwest::Error) -> Option<Refusal> {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(NameError::Refused(refusal)) = error.downcast_ref() {
            return Some(*refusal);
        }
        cause = error.source();
    }
    None
}

/// What went wrong, without the URL: it may hold a secret.
fn plain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn seconds(value: &HeaderValue) -> Option<Duration> {
    value.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests;
