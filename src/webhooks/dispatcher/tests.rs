//! Jobs end, receivers on loopback answer as they like, and the clock is ours.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::super::secret::tests::Counting;
use super::super::{EndpointEdit, SecretBox, Webhooks};
use super::*;
use crate::domain::clock::{Clock, Moment};
use crate::domain::job::Job;
use crate::domain::moves::Move;
use crate::domain::sample;
use crate::domain::webhook::{EndpointTarget, MAX_IN_FLIGHT};
use crate::metrics::{KnownLabels, Metrics};
use crate::net::{Lookup, Names, Outgoing, Policy, PolicySettings};
use crate::store::{Admission, Change, DeliveryQuery, Gates, JobStore, Memory, Store};

/// Longer than any of these tests takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(20);

/// Milliseconds that passed, and those that the wall clock is ahead of them.
#[derive(Debug)]
struct HandClock(AtomicU64, AtomicU64);

impl Clock for HandClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.0.load(Ordering::SeqCst) + self.1.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Moment {
        Moment(Duration::from_millis(self.0.load(Ordering::SeqCst)))
    }
}

struct Loopback;

impl Names for Loopback {
    fn lookup<'a>(&'a self, _name: &'a str) -> Lookup<'a> {
        Box::pin(async { Ok(vec![IpAddr::from([127, 0, 0, 1])]) })
    }
}

/// A receiver that gives its answers in turn, the last one again and again; 0 is silence, 1 an answer that never ends to begin.
struct Sink {
    port: u16,
    got: Arc<Mutex<Vec<Request>>>,
    news: Arc<Notify>,
}

#[derive(Debug, Clone)]
struct Request {
    head: String,
    body: String,
}

impl Sink {
    async fn start(answers: &'static [u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sink = Self {
            port: listener.local_addr().unwrap().port(),
            got: Arc::default(),
            news: Arc::new(Notify::new()),
        };
        let (got, news) = (Arc::clone(&sink.got), Arc::clone(&sink.news));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (got, news) = (Arc::clone(&got), Arc::clone(&news));
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        head.push(stream.read_u8().await.unwrap());
                    }
                    let head = String::from_utf8(head).unwrap().to_lowercase();
                    let length = header(&head, "content-length").parse().unwrap();
                    let mut body = vec![0; length];
                    stream.read_exact(&mut body).await.unwrap();
                    let number = {
                        let mut got = got.lock().unwrap();
                        got.push(Request { head, body: String::from_utf8(body).unwrap() });
                        got.len() - 1
                    };
                    news.notify_one();
                    match answers[number.min(answers.len() - 1)] {
                        0 => drop(stream.read_to_end(&mut Vec::new()).await),
                        1 => {
                            stream.write_all(b"HTTP/1.1 200 X\r\nx: ").await.unwrap();
                            let mut tick = tokio::time::interval(Duration::from_millis(20));
                            while stream.write_all(b"x").await.is_ok() {
                                tick.tick().await;
                            }
                        }
                        status => {
                            let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
                            stream.write_all(answer.as_bytes()).await.unwrap();
                        }
                    }
                });
            }
        });
        sink
    }

    fn url(&self) -> String {
        format!("http://hook.test:{}/in?a=b", self.port)
    }

    fn got(&self) -> Vec<Request> {
        self.got.lock().unwrap().clone()
    }

    async fn until(&self, count: usize) -> Vec<Request> {
        let wait = async {
            while self.got().len() < count {
                self.news.notified().await;
            }
        };
        tokio::time::timeout(DEADLINE, wait).await.expect("the receiver is told in time");
        self.got()
    }
}

fn header<'a>(head: &'a str, name: &str) -> &'a str {
    let line = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    line.unwrap_or_else(|| panic!("no {name} in {head}"))
}

struct Bench {
    store: Arc<Memory>,
    clock: Arc<HandClock>,
    webhooks: Webhooks,
    dispatcher: Dispatcher,
    metrics: Arc<Metrics>,
}

fn bench(ports: &[u16]) -> Bench {
    let policy = Policy::new(PolicySettings {
        allow_cidrs: vec!["127.0.0.1".parse().unwrap()],
        webhook_http: true,
        extra_ports: ports.to_vec(),
        ..PolicySettings::default()
    });
    let store = Arc::new(Memory::default());
    let clock = Arc::new(HandClock(AtomicU64::new(1_000_000), AtomicU64::new(0)));
    let known = KnownLabels { models: &[], failure_codes: &[], stages: &[], variants: &[] };
    let metrics = Arc::new(Metrics::new(&known));
    let courier = Courier {
        store: Arc::clone(&store) as Arc<dyn Store>,
        outgoing: Outgoing::new(policy, Arc::new(Loopback)).unwrap(),
        secrets: SecretBox::new(b"pepper"),
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        random: Arc::new(Counting::default()),
        metrics: Arc::clone(&metrics),
    };
    let wake = Arc::new(Notify::new());
    let webhooks = Webhooks::new(courier.clone(), Arc::clone(&wake));
    Bench { store, clock, webhooks, dispatcher: Dispatcher::new(courier, wake), metrics }
}

impl Bench {
    /// A cancelled job: the shortest way to a terminal event.
    async fn end_a_job(&self, number: u64, callback_url: Option<String>) -> Job {
        let mut job = sample::job(1, number);
        job.request.callback_url = callback_url;
        self.store
            .admit(Admission {
                entry: sample::entry(&job),
                job: job.clone(),
                gates: Gates::default(),
                idempotency: None,
            })
            .await
            .unwrap();
        let event = EventId::new(number, [7; crate::domain::id::ID_RANDOM_BYTES]);
        let at = self.clock.now();
        let change =
            Change { reach: Reach::Everywhere, video: job.id, step: Move::Cancel, at, event, by: None };
        self.store.change(change).await.unwrap()
    }

    async fn turn(&mut self) {
        self.dispatcher.turn().await.unwrap();
    }

    /// Does what is due and waits for the answers.
    async fn settle(&mut self) {
        self.turn().await;
        tokio::time::timeout(DEADLINE, self.dispatcher.finish()).await.expect("answers come");
    }

    fn pass(&self, seconds: u64) {
        self.clock.0.fetch_add(seconds * 1000, Ordering::SeqCst);
    }

    async fn deliveries(&self) -> Vec<Delivery> {
        let query = DeliveryQuery { limit: 100, ..DeliveryQuery::default() };
        self.webhooks.deliveries(sample::scope(1).project, query).await.unwrap().deliveries
    }
}

fn wanting(url: String) -> EndpointTarget {
    EndpointTarget {
        url,
        events: BTreeSet::from([EventKind::Completed, EventKind::Failed]),
        description: None,
        enabled: true,
    }
}

#[tokio::test]
async fn a_job_that_was_deleted_before_its_end_was_told_is_told_in_full() {
    let sink = Sink::start(&[200]).await;
    let mut bench = bench(&[sink.port]);
    bench.webhooks.create(sample::scope(1).project, wanting(sink.url())).await.unwrap();
    let job = bench.end_a_job(1, Some(sink.url())).await;
    let (by, at) = (sample::by_server(9, 9), bench.clock.now());
    bench.store.delete(Reach::Everywhere, job.id, at, by).await.unwrap();
    bench.settle().await;
    let got = sink.until(2).await;
    let told = r#""status":"failed","metadata":{"round":"1"},"error_code":"cancelled"}"#;
    assert!(got.iter().all(|request| request.body.contains(told)), "{got:?}");
}

#[tokio::test]
async fn deliveries_are_forgotten_by_age_and_not_by_a_clock_that_jumps() {
    let sink = Sink::start(&[200]).await;
    let mut bench = bench(&[sink.port]);
    bench.end_a_job(1, Some(sink.url())).await;
    bench.settle().await;
    bench.pass(SWEEP.as_secs());
    bench.clock.1.store(2 * KEEP.as_millis() as u64, Ordering::SeqCst);
    bench.turn().await;
    bench.clock.1.store(0, Ordering::SeqCst);
    bench.turn().await;
    assert_eq!(bench.deliveries().await.len(), 1);
    bench.pass(60);
    bench.turn().await;
    assert_eq!(bench.deliveries().await.len(), 1, "its time has not come");
    for _ in 0..=KEEP.as_secs() / SWEEP.as_secs() {
        bench.pass(SWEEP.as_secs());
        bench.turn().await;
    }
    assert_eq!(bench.deliveries().await.len(), 0);
}

#[tokio::test]
async fn a_receiver_that_failed_first_is_told_again_with_both_secrets() {
    let (sink, project) = (Sink::start(&[500, 200]).await, sample::scope(1).project);
    let mut bench = bench(&[sink.port]);
    let created = bench.webhooks.create(project, wanting(sink.url())).await.unwrap();
    let job = bench.end_a_job(1, None).await;
    bench.settle().await;
    let rotated = bench.webhooks.rotate(project, created.of.id, Duration::from_secs(86_400)).await.unwrap();
    bench.pass(4);
    bench.settle().await;
    assert_eq!(sink.got().len(), 1, "not before the schedule says so");
    bench.pass(2);
    bench.settle().await;

    let got = sink.got();
    assert_eq!(got.len(), 2);
    assert_eq!(got[0].body, got[1].body);
    let body = format!(
        r#"{{"id":"{}","object":"event","created_at":1000,"type":"video.failed","data":{{"id":"{}","project_id":"{project}","status":"failed","metadata":{{"round":"1"}},"error_code":"cancelled"}}}}"#,
        header(&got[0].head, "webhook-id"),
        job.id,
    );
    assert_eq!(got[0].body, body);
    assert_eq!(header(&got[0].head, "webhook-id"), header(&got[1].head, "webhook-id"));
    assert_eq!(header(&got[0].head, "webhook-timestamp"), "1000");
    assert_eq!(header(&got[1].head, "webhook-timestamp"), "1006");
    assert_eq!(header(&got[0].head, "user-agent"), "wanserve-webhooks/1");
    assert_eq!(header(&got[0].head, "content-type"), "application/json");
    assert_eq!(header(&got[0].head, "traceparent").len(), 55);

    let sign = |secrets: &[_], timestamp| {
        super::super::signature(secrets, header(&got[0].head, "webhook-id"), timestamp, &body).to_lowercase()
    };
    assert_eq!(header(&got[0].head, "webhook-signature"), sign(std::slice::from_ref(&created.secret), 1000));
    assert_eq!(header(&got[1].head, "webhook-signature"), sign(&[rotated.secret, created.secret], 1006));

    let deliveries = bench.deliveries().await;
    assert_eq!(deliveries.len(), 1);
    assert_eq!(deliveries[0].state, DeliveryState::Delivered);
    let statuses: Vec<_> = deliveries[0].attempts.iter().map(|attempt| attempt.status).collect();
    assert_eq!(statuses, [Some(500), Some(200)]);
    assert_eq!(bench.metrics.webhook_deliveries_total.value(["video.failed", "delivered"]), 1.0);
    assert_eq!(bench.metrics.webhook_deliveries_total.value(["video.failed", "failed"]), 1.0);
}

#[tokio::test]
async fn a_receiver_that_stays_broken_is_tried_ten_times_in_three_days() {
    let sink = Sink::start(&[500]).await;
    let mut bench = bench(&[sink.port]);
    bench.end_a_job(1, Some(sink.url())).await;
    bench.settle().await;
    for (before, delay) in (1..).zip([5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 72_000]) {
        // A tenth less is the soonest, a tenth more the latest.
        bench.pass(delay * 9 / 10 - 1);
        bench.settle().await;
        assert_eq!(sink.got().len(), before, "too soon after {delay} s");
        bench.pass(delay / 5 + 2);
        bench.settle().await;
        assert_eq!(sink.got().len(), before + 1, "{delay} s have passed");
    }
    bench.pass(7 * 24 * 3600);
    bench.settle().await;
    let got = sink.got();
    assert_eq!(got.len(), 10);
    assert!(got.iter().all(|one| header(&one.head, "webhook-id") == header(&got[0].head, "webhook-id")));
    let at = |one: &Request| header(&one.head, "webhook-timestamp").parse::<u64>().unwrap();
    assert!(got.windows(2).all(|pair| at(&pair[0]) < at(&pair[1])));
    let deliveries = bench.deliveries().await;
    assert_eq!((deliveries[0].state, deliveries[0].attempts.len()), (DeliveryState::Exhausted, 10));
    assert_eq!(bench.metrics.webhook_deliveries_total.value(["video.failed", "exhausted"]), 1.0);
}

#[tokio::test]
async fn a_jobs_own_callback_is_signed_with_the_projects_secret() {
    let (sink, project) = (Sink::start(&[204]).await, sample::scope(1).project);
    let mut bench = bench(&[sink.port]);
    bench.end_a_job(1, Some(sink.url())).await;
    bench.settle().await;
    let secret = bench.webhooks.callback_secret(project).await.unwrap().expect("shown once");
    assert_eq!(bench.webhooks.callback_secret(project).await.unwrap(), None);
    let got = &sink.got()[0];
    let expected =
        super::super::signature(&[secret], header(&got.head, "webhook-id"), 1000, &got.body).to_lowercase();
    assert_eq!(header(&got.head, "webhook-signature"), expected);
    bench.settle().await;
    assert_eq!(sink.got().len(), 1, "an event is told once");
}

#[tokio::test]
async fn a_slow_receiver_holds_four_deliveries_and_nobody_else() {
    for slow in [&[0], &[1]] {
        let (slow, quick) = (Sink::start(slow).await, Sink::start(&[200]).await);
        let mut bench = bench(&[slow.port, quick.port]);
        for number in 1..=10 {
            bench.end_a_job(number, Some(slow.url())).await;
        }
        bench.end_a_job(11, Some(quick.url())).await;
        bench.turn().await;
        quick.until(1).await;
        slow.until(MAX_IN_FLIGHT as usize).await;
        bench.end_a_job(12, Some(quick.url())).await;
        bench.turn().await;
        quick.until(2).await;
        assert_eq!(slow.got().len(), MAX_IN_FLIGHT as usize, "it has not answered yet, and gets no more");
        bench.dispatcher.under_way.shutdown().await;
        // The attempts were cut off; when their leases end they are repeated.
        bench.pass(LEASE.as_secs());
        bench.turn().await;
        slow.until(2 * MAX_IN_FLIGHT as usize).await;
    }
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_switched_off_and_may_come_back() {
    let (sink, project) = (Sink::start(&[410, 200]).await, sample::scope(1).project);
    let mut bench = bench(&[sink.port]);
    let endpoint = bench.webhooks.create(project, wanting(sink.url())).await.unwrap().of;
    bench.end_a_job(1, None).await;
    bench.settle().await;
    bench.end_a_job(2, None).await;
    bench.pass(3600);
    bench.settle().await;
    assert_eq!(sink.got().len(), 1);
    assert!(!bench.webhooks.get(project, endpoint.id).await.unwrap().is_active());

    let edit = EndpointEdit { enabled: Some(true), ..EndpointEdit::default() };
    bench.webhooks.edit(project, endpoint.id, edit).await.unwrap();
    let missed = bench.deliveries().await.pop().unwrap();
    assert_eq!(missed.state, DeliveryState::Exhausted);
    bench.webhooks.redeliver(project, missed.id).await.unwrap();
    bench.settle().await;
    assert_eq!(sink.got().len(), 2);
    assert_eq!(header(&sink.got()[1].head, "webhook-id"), missed.event.to_string());
}

#[tokio::test]
async fn a_test_call_answers_what_came_of_it() {
    let (sink, project) = (Sink::start(&[204, 500]).await, sample::scope(1).project);
    let mut bench = bench(&[sink.port]);
    let endpoint = bench.webhooks.create(project, wanting(sink.url())).await.unwrap().of;
    let good = bench.webhooks.test(project, endpoint.id).await.unwrap();
    assert_eq!((good.state, good.kind.as_str()), (DeliveryState::Delivered, "endpoint.test"));
    let bad = bench.webhooks.test(project, endpoint.id).await.unwrap();
    assert_eq!(bad.state, DeliveryState::Exhausted);
    assert_eq!(bad.attempts[0].error.as_deref(), Some("answered 500"));
    bench.pass(3600);
    bench.settle().await;
    assert_eq!(sink.got().len(), 2, "a test is not repeated");
    assert!(
        sink.got()[0]
            .body
            .ends_with(&format!(r#""type":"endpoint.test","data":{{"id":"{}"}}}}"#, endpoint.id))
    );
}

#[tokio::test]
async fn a_url_into_our_network_is_refused_at_registration_and_counted() {
    let mut bench = bench(&[]);
    for url in ["http://10.0.0.1/", "https://localhost/", "file:///etc/passwd"] {
        let refused = bench.webhooks.create(sample::scope(1).project, wanting(url.to_owned())).await;
        assert!(matches!(refused, Err(WebhookError::Url(_))), "{url}");
    }
    // One that slipped in, as by an older policy, is refused when it is used.
    bench.end_a_job(1, Some("http://10.0.0.1/".to_owned())).await;
    bench.settle().await;
    assert_eq!(bench.deliveries().await[0].attempts[0].error.as_deref(), Some("url not allowed"));
    assert_eq!(bench.metrics.outbound_blocked_total.value(["webhook"]), 4.0);
}
