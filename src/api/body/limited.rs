//! A payload that ends with an error as soon as it is longer, or slower, than allowed. Decodes nothing.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::error::PayloadError;
use actix_web::web;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

/// What a sender must keep up.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// The first moments do not count: connections start slowly.
    grace: Duration,
    /// Bytes a second after that.
    rate: f64,
    /// For the whole body.
    total: Duration,
    /// How often a silent sender is looked at.
    look: Duration,
}

/// A body at one byte a second would hold its connection and its buffers for days.
const PACE: Pace = Pace {
    grace: Duration::from_secs(5),
    rate: 10.0 * 1024.0,
    total: Duration::from_secs(60),
    look: Duration::from_secs(1),
};

/// A payload under limits.
pub(super) struct Limited {
    payload: web::Payload,
    limit: usize,
    seen: usize,
    began: Instant,
    pace: Pace,
    looks: Interval,
}

impl Limited {
    /// At most `limit` bytes in at most `time`.
    pub(super) fn new(payload: web::Payload, limit: usize, time: Duration) -> Self {
        Self::paced(payload, limit, Pace { total: time, ..PACE })
    }

    /// In bytes.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    fn paced(payload: web::Payload, limit: usize, pace: Pace) -> Self {
        let mut looks = interval(pace.look);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { payload, limit, seen: 0, began: Instant::now(), pace, looks }
    }

    fn is_too_slow(&self) -> bool {
        let spent = self.began.elapsed();
        let counted = spent.saturating_sub(self.pace.grace);
        spent > self.pace.total || (self.seen as f64) < self.pace.rate * counted.as_secs_f64()
    }
}

impl Stream for Limited {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.payload.poll_next_unpin(context);
        if let Poll::Ready(Some(Ok(chunk))) = &polled {
            self.seen += chunk.len();
            if self.seen > self.limit {
                return Poll::Ready(Some(Err(PayloadError::Overflow)));
            }
        }
        let late = || Poll::Ready(Some(Err(PayloadError::Io(io::ErrorKind::TimedOut.into()))));
        match polled {
            Poll::Ready(Some(Ok(_))) if self.is_too_slow() => late(),
            Poll::Ready(_) => polled,
            Poll::Pending => {
                while self.looks.poll_tick(context).is_ready() {
                    if self.is_too_slow() {
                        return late();
                    }
                }
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::FromRequest;
    use actix_web::dev::Payload;
    use actix_web::test::TestRequest;
    use futures_util::stream;

    use super::*;

    /// A hundred times faster than the real one.
    const QUICK: Pace = Pace {
        grace: Duration::from_millis(50),
        rate: 1000.0,
        total: Duration::from_millis(600),
        look: Duration::from_millis(10),
    };

    /// Sends a chunk of that size every few milliseconds, without end.
    async fn end_of(bytes: usize, pause: Duration) -> (usize, PayloadError) {
        let chunks: Pin<Box<dyn Stream<Item = _>>> = Box::pin(stream::unfold((), move |()| async move {
            tokio::time::sleep(pause).await;
            Some((Ok(Bytes::from(vec![0; bytes])), ()))
        }));
        let mut payload = Payload::Stream { payload: chunks };
        let request = TestRequest::default().to_http_request();
        let payload = web::Payload::from_request(&request, &mut payload).await.unwrap();
        let mut limited = Limited::paced(payload, 4000, QUICK);
        loop {
            match limited.next().await.expect("it has no end") {
                Ok(_) => {}
                Err(error) => return (limited.seen, error),
            }
        }
    }

    #[actix_web::test]
    async fn a_body_ends_when_it_is_too_long_too_slow_or_silent() {
        let (seen, long) = end_of(2000, Duration::from_millis(1)).await;
        assert!(matches!(long, PayloadError::Overflow) && seen == 6000, "{long}");
        let (_, drip) = end_of(1, Duration::from_millis(20)).await;
        assert!(matches!(drip, PayloadError::Io(_)), "{drip}");
        let (seen, silence) = end_of(1, Duration::from_secs(3600)).await;
        assert!(matches!(silence, PayloadError::Io(_)) && seen == 0, "{silence}");
    }
}
