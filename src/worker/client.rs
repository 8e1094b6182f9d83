//! The calls of the lease protocol, each one request. Repeats nothing by itself, except what must arrive.

use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::domain::id::{VideoId, WorkerId};
use crate::domain::lease::{
    Complete, DirectUpload, Fail, Heartbeat, HeartbeatAnswer, LeaseAnswer, LeaseRequest, ProtocolError,
    Stored, UploadAsk, UploadWay, Welcome, WorkerHello,
};
use crate::domain::trace::TraceContext;
use crate::net::{DirectClient, ServerClient};

/// A short call that takes longer has met a server that is stuck; under the 10 s of the self-fence.
const CALL_TIMEOUT: Duration = Duration::from_secs(4);

/// Moving a file: the largest are a few hundred MB over a slow link.
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(120);

/// The first pause before a call is repeated, doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause before a call is repeated.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How long the end of a job is repeated: by then the server has given the job to another.
const LAST_WORD_TIMEOUT: Duration = Duration::from_secs(60);

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    #[error("another worker has the job")]
    Stale,
    #[error("the server does not know this worker")]
    UnknownWorker,
    #[error("the server refuses this worker: {0}")]
    Refused(String),
    #[error("the server calls the message invalid: {0}")]
    Invalid(String),
    #[error("the server cannot be reached: {0}")]
    Unavailable(String),
}

/// A worker's connection to its server, and to where that sends its files.
#[derive(Clone)]
pub(super) struct LeaseClient {
    server: ServerClient,
    direct: DirectClient,
    /// Whom the calls are made for.
    trace: Option<TraceContext>,
}

impl LeaseClient {
    pub(super) fn new(server: ServerClient) -> Self {
        Self { server, direct: DirectClient::default(), trace: None }
    }

    /// The same, with calls that continue that trace.
    pub(super) fn of_trace(&self, trace: Option<TraceContext>) -> Self {
        Self { trace, ..self.clone() }
    }

    /// Adds what continues the trace; the signature of an address covers neither.
    fn traced(&self, request: RequestBuilder) -> RequestBuilder {
        let Some(trace) = &self.trace else { return request };
        let request = request.header("traceparent", trace.traceparent());
        match trace.tracestate() {
            Some(state) => request.header("tracestate", state),
            None => request,
        }
    }

    pub(super) async fn hello(&self, hello: &WorkerHello) -> Result<Welcome, CallError> {
        self.post("/internal/v1/workers", hello, CALL_TIMEOUT).await
    }

    /// Waits up to the time that the request asks for.
    pub(super) async fn lease(
        &self,
        worker: WorkerId,
        request: &LeaseRequest,
    ) -> Result<LeaseAnswer, CallError> {
        let timeout = Duration::from_millis(request.wait_ms) + CALL_TIMEOUT;
        self.post(&format!("/internal/v1/workers/{worker}/lease"), request, timeout).await
    }

    pub(super) async fn heartbeat(
        &self,
        video: VideoId,
        beat: &Heartbeat,
    ) -> Result<HeartbeatAnswer, CallError> {
        self.post(&format!("/internal/v1/leases/{video}/heartbeat"), beat, CALL_TIMEOUT).await
    }

    /// The bytes of the input picture.
    pub(super) async fn input(&self, path: &str) -> Result<Bytes, CallError> {
        let request = self.traced(self.server.request(Method::GET, path));
        let answer = send(request.timeout(TRANSFER_TIMEOUT)).await?;
        answer.bytes().await.map_err(unavailable)
    }

    /// Stores one file and says what was received: past the server if it gives an address for it.
    pub(super) async fn upload(&self, path: &str, ask: &UploadAsk, file: Bytes) -> Result<Stored, CallError> {
        let way: UploadWay = self.post(&format!("{path}/link"), ask, CALL_TIMEOUT).await?;
        match way.direct {
            Some(direct) => self.upload_direct(direct, ask, file).await,
            None => {
                let request = self.traced(self.server.request(Method::PUT, path)).timeout(TRANSFER_TIMEOUT);
                send(request.body(file)).await?.json().await.map_err(unavailable)
            }
        }
    }

    /// Whatever goes wrong may be mended there, so that a later try succeeds.
    async fn upload_direct(
        &self,
        direct: DirectUpload,
        ask: &UploadAsk,
        file: Bytes,
    ) -> Result<Stored, CallError> {
        // The address holds a signature.
        let nameless = |error: reqwest::Error| unavailable(error.without_url());
        let request = self.traced(self.direct.put(&direct.url).map_err(nameless)?);
        let request =
            direct.headers.into_iter().fold(request, |request, (name, value)| request.header(name, value));
        let answer = request.timeout(TRANSFER_TIMEOUT).body(file).send().await.map_err(nameless)?;
        if !answer.status().is_success() {
            return Err(CallError::Unavailable(format!("the storage answered {}", answer.status())));
        }
        Ok(Stored { bytes: ask.bytes, sha256: ask.sha256.clone() })
    }

    /// Repeats until the server has answered one way or the other; beyond a minute only while `lasting`.
    pub(super) async fn complete(
        &self,
        video: VideoId,
        complete: &Complete,
        lasting: impl Fn() -> bool,
    ) -> Result<(), CallError> {
        self.last_word(&format!("/internal/v1/leases/{video}/complete"), complete, lasting).await
    }

    /// Repeats until the server has answered one way or the other.
    pub(super) async fn fail(&self, video: VideoId, fail: &Fail) -> Result<(), CallError> {
        self.last_word(&format!("/internal/v1/leases/{video}/fail"), fail, || false).await
    }

    async fn last_word<T: Serialize>(
        &self,
        path: &str,
        body: &T,
        lasting: impl Fn() -> bool,
    ) -> Result<(), CallError> {
        let began = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            let answer = self.post::<T, serde_json::Value>(path, body, CALL_TIMEOUT).await;
            match answer {
                Err(CallError::Unavailable(_)) if began.elapsed() < LAST_WORD_TIMEOUT || lasting() => {}
                answer => return answer.map(drop),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn post<T: Serialize, A: DeserializeOwned>(
        &self,
        path: &str,
        body: &T,
        timeout: Duration,
    ) -> Result<A, CallError> {
        let request = self.server.request(Method::POST, path).timeout(timeout).json(body);
        send(request).await?.json().await.map_err(unavailable)
    }
}

async fn send(request: RequestBuilder) -> Result<reqwest::Response, CallError> {
    let answer = request.send().await.map_err(unavailable)?;
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let error = answer.json::<ProtocolError>().await;
    let error =
        error.map_or_else(|_| status.to_string(), |error| format!("{}: {}", error.code, error.message));
    Err(match status {
        StatusCode::CONFLICT => CallError::Stale,
        StatusCode::NOT_FOUND if error.starts_with("unknown_worker") => CallError::UnknownWorker,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::UPGRADE_REQUIRED => {
            CallError::Refused(error)
        }
        status if status.is_client_error() => CallError::Invalid(error),
        _ => CallError::Unavailable(error),
    })
}

fn unavailable(error: reqwest::Error) -> CallError {
    // The whole chain: reqwest's own text says only "error sending request".
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    CallError::Unavailable(text)
}
