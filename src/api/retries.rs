//! Recognises a create that an SDK sends again although the first one made its job: the client had gone before it was told.
//! The SDKs number their tries and send no idempotency key of their own. In this process only, and for a quarter of an hour.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_web::HttpRequest;
use tokio::sync::watch;

use super::client_socket::ClientSocket;
use crate::domain::clock::Moment;
use crate::domain::id::{KeyId, VideoId};

/// How the SDKs number their tries, from 0.
const RETRY_COUNT: &str = "x-stainless-retry-count";

/// How long a try is remembered: longer than any SDK waits between two.
const REMEMBER: Duration = Duration::from_secs(15 * 60);

/// Requests remembered; beyond it the old ones are dropped first.
const MOST: usize = 10_000;

/// The tries of every client.
#[derive(Debug, Clone, Default)]
pub struct RetryGuard(Arc<Mutex<HashMap<Tried, Vec<Try>>>>);

/// What makes two requests the same request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Tried {
    key: KeyId,
    route: String,
    fingerprint: String,
}

/// What became of a submission: nothing known yet, or the job.
type Made = watch::Receiver<Option<VideoId>>;

#[derive(Debug)]
struct Try {
    count: u32,
    at: Moment,
    made: Made,
    /// The client's connection, while the try is being worked on.
    client: Option<ClientSocket>,
    /// The client had gone before there was an answer.
    abandoned: bool,
    /// The tries that were told of the job.
    matched: BTreeSet<u32>,
}

/// A try that is being worked on. One that is dropped unanswered was abandoned.
pub(crate) struct Trial {
    guard: RetryGuard,
    tried: Tried,
    count: u32,
    at: Moment,
    made: Option<watch::Sender<Option<VideoId>>>,
    answered: bool,
}

impl RetryGuard {
    /// Notes a try of an SDK; `None` for other clients.
    pub(crate) fn begin(
        &self,
        request: &HttpRequest,
        key: KeyId,
        fingerprint: &str,
        now: Moment,
    ) -> Option<Trial> {
        let count = request.headers().get(RETRY_COUNT)?.to_str().ok()?.parse().ok()?;
        let tried = Tried { key, route: request.path().to_owned(), fingerprint: fingerprint.to_owned() };
        Some(self.note(count, tried, ClientSocket::of(request), now))
    }

    fn note(&self, count: u32, tried: Tried, client: Option<ClientSocket>, now: Moment) -> Trial {
        let (made, seen) = watch::channel(None);
        let mut tries = self.lock();
        if tries.len() >= MOST {
            tries.retain(|_, tries| tries.iter().any(|one| now.since(one.at) < REMEMBER));
        }
        if tries.len() < MOST || tries.contains_key(&tried) {
            let known = tries.entry(tried.clone()).or_default();
            known.retain(|one| now.since(one.at) < REMEMBER);
            let matched = BTreeSet::new();
            known.push(Try { count, at: now, made: seen, client, abandoned: false, matched });
        }
        Trial { guard: self.clone(), tried, count, at: now, made: Some(made), answered: false }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Tried, Vec<Try>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Trial {
    /// The job that an earlier, abandoned try made, each told once to a try of this number.
    pub(crate) async fn earlier(&self) -> Option<VideoId> {
        while let Some(mut made) = self.candidate() {
            // The submission goes on without its client: what becomes of it is awaited, not guessed.
            if let Ok(video) = made.wait_for(Option::is_some).await {
                return *video;
            }
        }
        None
    }

    /// Told by whoever submits, once there is a job; dropped without a word if there will be none.
    pub(crate) fn teller(&mut self) -> watch::Sender<Option<VideoId>> {
        self.made.take().unwrap_or_else(|| watch::channel(None).0)
    }

    /// There is an answer; whether somebody hears it is seen at the same moment.
    pub(crate) fn answered(mut self) {
        self.answered = true;
    }

    fn candidate(&self) -> Option<Made> {
        let mut tries = self.guard.lock();
        let fits = |one: &&mut Try| {
            one.is_abandoned()
                && one.count < self.count
                && self.at.since(one.at) < REMEMBER
                && !one.matched.contains(&self.count)
        };
        let found = tries.get_mut(&self.tried)?.iter_mut().find(fits)?;
        found.matched.insert(self.count);
        Some(found.made.clone())
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        let mut tries = self.guard.lock();
        let Some(known) = tries.get_mut(&self.tried) else { return };
        let own = |one: &Try| one.count == self.count && one.at == self.at;
        for one in known.iter_mut().filter(|one| own(one)) {
            one.abandoned = !self.answered || one.is_abandoned();
            // The connection must not stay open for it.
            one.client = None;
        }
        known.retain(|one| !own(one) || one.abandoned);
        if known.is_empty() {
            tries.remove(&self.tried);
        }
    }
}

impl Try {
    fn is_abandoned(&self) -> bool {
        self.abandoned || self.client.as_ref().is_some_and(ClientSocket::is_closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: u64 = 1;

    fn begin(guard: &RetryGuard, count: u32, seconds: u64) -> Trial {
        let key = KeyId::new(KEY, [0; 10]);
        let tried = Tried { key, route: "/v1/videos".to_owned(), fingerprint: "same".to_owned() };
        guard.note(count, tried, None, Moment(Duration::from_secs(seconds)))
    }

    fn video(number: u64) -> VideoId {
        VideoId::new(number, [0; 10])
    }

    fn abandon(guard: &RetryGuard, count: u32, seconds: u64, made: Option<VideoId>) {
        let mut trial = begin(guard, count, seconds);
        let teller = trial.teller();
        drop(trial);
        if made.is_some() {
            teller.send_replace(made);
        }
    }

    #[tokio::test]
    async fn a_job_is_told_once_to_each_further_try() {
        let guard = RetryGuard::default();
        abandon(&guard, 0, 0, Some(video(1)));
        assert_eq!(begin(&guard, 0, 1).earlier().await, None, "a first try repeats nothing");
        let second = begin(&guard, 1, 2);
        assert_eq!(second.earlier().await, Some(video(1)));
        assert_eq!(second.earlier().await, None);
        assert_eq!(begin(&guard, 1, 3).earlier().await, None, "another client's first retry makes its own");
        assert_eq!(begin(&guard, 2, 4).earlier().await, Some(video(1)));
        assert_eq!(begin(&guard, 3, 15 * 60).earlier().await, None, "a quarter of an hour is over");
    }

    #[tokio::test]
    async fn what_was_answered_or_made_nothing_is_not_repeated() {
        let guard = RetryGuard::default();
        let mut heard = begin(&guard, 0, 0);
        heard.teller().send_replace(Some(video(1)));
        heard.answered();
        abandon(&guard, 0, 1, None);
        assert_eq!(begin(&guard, 1, 2).earlier().await, None);
        assert_eq!(guard.lock().len(), 1);
    }

    #[tokio::test]
    async fn a_submission_that_still_runs_is_waited_for() {
        let guard = RetryGuard::default();
        let mut first = begin(&guard, 0, 0);
        let teller = first.teller();
        drop(first);
        let second = begin(&guard, 1, 1);
        let (found, ()) = tokio::join!(second.earlier(), async {
            tokio::task::yield_now().await;
            teller.send_replace(Some(video(7)));
        });
        assert_eq!(found, Some(video(7)));
    }
}
