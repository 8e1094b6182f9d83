//! The contract of a store, run by every implementer, and the comparison of each with the model.

use std::fmt::Debug;

use proptest::prelude::*;

use super::*;
use crate::domain::event::JobFacts;
use crate::domain::failure::FailureCode;
use crate::domain::id::ID_RANDOM_BYTES;
use crate::domain::job::{JobError, JobState};
use crate::domain::limits::Window;
use crate::domain::moves::{Move, RequeueReason, Spent};
use crate::domain::sample;
use crate::domain::stage::Stage;

fn event(number: u64) -> EventId {
    EventId::new(number, [0; ID_RANDOM_BYTES])
}

fn admission(job: Job) -> Admission {
    Admission { entry: sample::entry(&job), job, gates: Gates::default(), idempotency: None }
}

/// As many active jobs of the project.
fn at_most(active: Option<u32>) -> Gates {
    let active = active.map(|most| ActiveGate { model: None, most });
    Gates { active: active.into_iter().collect(), ..Gates::default() }
}

fn change(video: VideoId, at: u64, step: Move) -> Change {
    Change { reach: Reach::Everywhere, video, step, at: UnixMillis(at), event: event(at), by: None }
}

async fn an_end_writes_everything_at_once(store: &dyn Store) {
    let job = sample::job(1, 1000);
    store.admit(admission(job.clone())).await.unwrap();
    store.change(change(job.id, 2000, Move::Claim { holder: sample::holder("cpu") })).await.unwrap();
    let complete = Move::Complete { epoch: 1, outcome: sample::outcome() };
    let done = store.change(change(job.id, 3000, complete.clone())).await.unwrap();
    assert_eq!(done.status.state, JobState::Completed);
    assert_eq!(store.job(Reach::Everywhere, job.id).await.unwrap(), Some(done.clone()));
    assert!(matches!(store.change(change(job.id, 4000, complete)).await, Err(StoreError::Move(_))));
    let kinds: Vec<_> =
        store.events(Reach::Everywhere, job.id).await.unwrap().iter().map(|event| event.kind).collect();
    use crate::domain::event::EventKind;
    assert_eq!(kinds, [EventKind::InProgress, EventKind::Completed]);
    let query = UsageQuery {
        organization: job.organization,
        project: Some(job.project),
        from: UnixMillis(3000),
        to: UnixMillis(3001),
    };
    let booked = store.usage(query).await.unwrap();
    assert_eq!(booked, [UsageRecord::of(&done).unwrap()]);
    assert_eq!(booked[0].usage.gpu_seconds, 1.5);
    assert_eq!(store.unfinished().await.unwrap(), []);
}

async fn a_foreign_job_does_not_exist(store: &dyn Store) {
    let job = sample::job(1, 1000);
    store.admit(admission(job.clone())).await.unwrap();
    let stranger = Reach::Project(sample::scope(2));
    assert_eq!(store.job(stranger, job.id).await.unwrap(), None);
    let cancel = Change { reach: stranger, ..change(job.id, 2000, Move::Cancel) };
    assert!(matches!(store.change(cancel).await, Err(StoreError::NotFound)));
    assert!(matches!(
        store.delete(stranger, job.id, UnixMillis(1), sample::by_server(1, 9)).await,
        Err(StoreError::NotFound)
    ));
    assert_eq!(store.events(stranger, job.id).await.unwrap(), []);
    let page = JobQuery { after: Some(job.id), limit: 5, ..JobQuery::default() };
    assert!(matches!(store.jobs(sample::scope(2), page.clone()).await, Err(StoreError::NotFound)));
    assert_eq!(store.jobs(sample::scope(2), JobQuery { after: None, ..page }).await.unwrap().jobs, []);
}

async fn a_repeated_key_gives_the_first_job(store: &dyn Store) {
    let used = |key: &str, fingerprint: &str, forget_before| {
        Some(Idempotency {
            route: "/v1/videos".to_owned(),
            key: key.to_owned(),
            fingerprint: fingerprint.to_owned(),
            forget_before: UnixMillis(forget_before),
        })
    };
    let first = sample::job(1, 1000);
    let admit = |job: Job, idempotency, most: Option<u32>| {
        store.admit(Admission { gates: at_most(most), idempotency, ..admission(job) })
    };
    assert_eq!(admit(first.clone(), used("k", "a", 0), Some(1)).await.unwrap(), Admitted::New);
    let again = admit(sample::job(1, 2000), used("k", "a", 0), Some(1)).await.unwrap();
    assert_eq!(again, Admitted::Replayed(Box::new(first.clone())));
    let other = admit(sample::job(1, 2000), used("k", "b", 0), None).await;
    assert!(matches!(other, Err(StoreError::KeyReused)));
    let full = admit(sample::job(1, 2000), None, Some(1)).await;
    assert!(matches!(full, Err(StoreError::TooManyActive { limit: 1 })));
    assert_eq!(admit(sample::job(2, 2000), used("k", "b", 0), Some(1)).await.unwrap(), Admitted::New);
    assert_eq!(admit(sample::job(1, 3000), used("k", "b", 1001), None).await.unwrap(), Admitted::New);
    let tally = store.tally(Owner::Project(sample::scope(1).project), UnixMillis(3000)).await.unwrap();
    assert_eq!((tally.active, tally.running), (2, 0));
}

async fn a_page_goes_on_behind_a_deleted_job(store: &dyn Store) {
    for at in [1000, 2000, 3000] {
        let job = sample::job(1, at);
        store.admit(admission(job.clone())).await.unwrap();
        store.change(change(job.id, at + 1, Move::Cancel)).await.unwrap();
    }
    let page = |after: Option<u64>, order, limit| {
        let after = after.map(|at| sample::job(1, at).id);
        store.jobs(sample::scope(1), JobQuery { order, after, limit, ..JobQuery::default() })
    };
    let times = |page: &JobPage| page.jobs.iter().map(|job| job.created_at.0).collect::<Vec<_>>();
    let newest = page(None, Order::Newest, 2).await.unwrap();
    assert_eq!((times(&newest), newest.has_more), (vec![3000, 2000], true));
    let gone = store
        .delete(Reach::Everywhere, sample::job(1, 2000).id, UnixMillis(4000), sample::by_server(4000, 9))
        .await
        .unwrap();
    assert_eq!(gone, [], "a job without input and assets leaves nothing");
    let rest = page(Some(2000), Order::Newest, 2).await.unwrap();
    assert_eq!((times(&rest), rest.has_more), (vec![1000], false));
    assert_eq!(times(&page(Some(2000), Order::Oldest, 2).await.unwrap()), [3000]);
    assert!(matches!(page(Some(9000), Order::Newest, 2).await, Err(StoreError::NotFound)));
}

async fn lists_are_narrowed_by_every_condition(store: &dyn Store) {
    for at in 1000..1010 {
        store.admit(admission(sample::job(1, at))).await.unwrap();
    }
    store.change(change(sample::job(1, 1003).id, 2000, Move::Cancel)).await.unwrap();
    let count = async |filter: JobFilter| {
        let query = JobQuery { limit: 100, filter, ..JobQuery::default() };
        store.jobs(sample::scope(1), query).await.unwrap().jobs.len()
    };
    let any = JobFilter::default;
    assert_eq!(count(any()).await, 10);
    assert_eq!(count(JobFilter { state: Some(JobState::Failed), ..any() }).await, 1);
    assert_eq!(count(JobFilter { created_after: Some(UnixMillis(1004)), ..any() }).await, 5);
    assert_eq!(count(JobFilter { created_after: Some(UnixMillis::LATEST), ..any() }).await, 0);
    assert_eq!(count(JobFilter { created_before: Some(UnixMillis(1004)), ..any() }).await, 4);
    assert_eq!(count(JobFilter { seed: Some(1007), ..any() }).await, 1);
    let round = |value: &str| vec![("round".to_owned(), value.to_owned())];
    assert_eq!(count(JobFilter { metadata: round("1"), ..any() }).await, 4);
    assert_eq!(count(JobFilter { metadata: round("7"), ..any() }).await, 0);
    let ids = Some([1001, 1005].map(|at| sample::job(1, at).id).into());
    assert_eq!(count(JobFilter { ids, ..any() }).await, 2);
    assert_eq!(count(JobFilter { ids: Some(std::collections::BTreeSet::new()), ..any() }).await, 0);
    let model = crate::domain::model::ModelId::new("other");
    assert_eq!(count(JobFilter { model: Some(model), ..any() }).await, 0);
}

async fn seconds_are_promised_and_then_charged(store: &dyn Store) {
    let (first, second) = (sample::job(1, 1000), sample::job(2, 1001));
    let (project, organization) = (Owner::Project(first.project), Owner::Organization(first.organization));
    let gate =
        |owner, most_ms| SecondsGate { owner, model: None, window: Window::day(UnixMillis(1000)), most_ms };
    let admit = |job: Job, reserve_ms, seconds| {
        store.admit(Admission { gates: Gates { active: vec![], seconds, reserve_ms }, ..admission(job) })
    };
    admit(first.clone(), 2000, vec![gate(project, 2000), gate(organization, 3000)]).await.unwrap();
    let refused = admit(second.clone(), 1001, vec![gate(organization, 3000)]).await;
    let until = UnixMillis(86_400_000);
    let expected = StoreError::QuotaSpent { most_ms: 3000, used_ms: 2000, until };
    assert_eq!(format!("{refused:?}"), format!("{:?}", Err::<Admitted, _>(expected)));
    admit(second.clone(), 1000, vec![gate(organization, 3000)]).await.unwrap();
    let tally = async |owner, at| store.tally(owner, UnixMillis(at)).await.unwrap();
    assert_eq!(tally(organization, 1000).await, Tally { active: 2, reserved_ms: 3000, ..Tally::default() });
    store.change(change(first.id, 2000, Move::Claim { holder: sample::holder("cpu") })).await.unwrap();
    assert_eq!(
        tally(project, 2000).await,
        Tally { active: 1, running: 1, reserved_ms: 2000, ..Tally::default() }
    );
    let complete = Move::Complete { epoch: 1, outcome: sample::outcome() };
    store.change(change(first.id, 3000, complete)).await.unwrap();
    store.change(change(second.id, 3001, Move::Cancel)).await.unwrap();
    assert_eq!(tally(organization, 3000).await, Tally { day_ms: 1500, month_ms: 1500, ..Tally::default() });
    assert_eq!(tally(project, 86_400_001).await, Tally { month_ms: 1500, ..Tally::default() });
    assert_eq!(tally(project, 40 * 86_400_000).await, Tally::default());
    assert!(admit(sample::job(1, 4000), 501, vec![gate(project, 2000)]).await.is_err());
    assert_eq!(admit(sample::job(1, 4000), 500, vec![gate(project, 2000)]).await.unwrap(), Admitted::New);
}

async fn time_overtakes_jobs_and_files(store: &dyn Store) {
    let job = sample::job(1, 1000);
    store.admit(admission(job.clone())).await.unwrap();
    store.change(change(job.id, 1001, Move::Claim { holder: sample::holder("cpu") })).await.unwrap();
    let complete = Move::Complete { epoch: 1, outcome: sample::outcome() };
    let done = store.change(change(job.id, 1002, complete)).await.unwrap();
    let expiry = done.status.expires_at.unwrap();
    let expired = |now: u64| store.aged(Aged::AssetsExpired(UnixMillis(now)), 10);
    assert_eq!(expired(expiry.0 - 1).await.unwrap(), []);
    assert_eq!(expired(expiry.0).await.unwrap(), [done]);
    store.change(change(job.id, expiry.0, Move::Expire)).await.unwrap();
    assert_eq!(expired(expiry.0).await.unwrap(), []);
    let garbage = store.garbage(expiry, 10).await.unwrap();
    assert_eq!(garbage.len(), 1);
    store.forget_garbage(garbage[0].clone()).await.unwrap();
    assert_eq!(store.garbage(expiry, 10).await.unwrap(), []);
    assert_eq!(store.aged(Aged::Ended(UnixMillis(1002)), 10).await.unwrap(), []);
    assert_eq!(store.aged(Aged::Ended(UnixMillis(1003)), 10).await.unwrap().len(), 1);
    let pending = store.pending_events(10).await.unwrap();
    assert_eq!(pending.len(), 2);
    store.settle_event(pending[0].id).await.unwrap();
    assert_eq!(store.pending_events(10).await.unwrap(), pending[1..]);
}

async fn an_event_keeps_what_is_told_of_its_job_until_it_is_settled(store: &dyn Store) {
    let mut job = sample::job(1, 1000);
    job.request.callback_url = Some("https://hook.example/?token=t".to_owned());
    store.admit(admission(job.clone())).await.unwrap();
    store.change(change(job.id, 2000, Move::Claim { holder: sample::holder("cpu") })).await.unwrap();
    let error = JobError::new(FailureCode::GpuOutOfMemory);
    let fail = Move::Fail { epoch: 1, error, spent: Spent::default() };
    let ended = store.change(change(job.id, 3000, fail)).await.unwrap();
    store.delete(Reach::Everywhere, job.id, UnixMillis(3001), sample::by_server(1, 9)).await.unwrap();
    let facts = async || -> Vec<_> {
        let events = store.events(Reach::Everywhere, job.id).await.unwrap();
        events.into_iter().map(|event| event.facts).collect()
    };
    let (begun, told) = (JobFacts::of(&job), JobFacts::of(&ended));
    assert_eq!((begun.error_code, told.error_code), (None, Some(FailureCode::GpuOutOfMemory)));
    assert_eq!(facts().await, [Some(begun), Some(told.clone())]);
    store.settle_event(event(2000)).await.unwrap();
    assert_eq!(facts().await, [None, Some(told)]);
    store.add_deliveries(Some(event(3000)), Vec::new()).await.unwrap();
    assert_eq!(facts().await, [None, None]);
}

history::every_store! {
    an_end_writes_everything_at_once
    a_foreign_job_does_not_exist
    a_repeated_key_gives_the_first_job
    a_page_goes_on_behind_a_deleted_job
    lists_are_narrowed_by_every_condition
    seconds_are_promised_and_then_charged
    time_overtakes_jobs_and_files
    an_event_keeps_what_is_told_of_its_job_until_it_is_settled
}

#[tokio::test]
async fn a_folder_has_one_server_and_keeps_its_jobs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = crate::store::sqlite::open(&path).await.unwrap();
    assert!(matches!(crate::store::sqlite::open(&path).await, Err(StoreError::Locked)));
    let job = sample::job(1, 1000);
    store.admit(admission(job.clone())).await.unwrap();
    let beside = crate::store::sqlite::open_beside(&path).await.unwrap();
    beside.admit(admission(sample::job(1, 2000))).await.unwrap();
    // One that is ending is waited for.
    let (again, ()) = tokio::join!(crate::store::sqlite::open(&path), async { drop((store, beside)) });
    let again = again.unwrap();
    assert_eq!(again.unfinished().await.unwrap(), [job, sample::job(1, 2000)]);
}

/// One operation of a random history; small numbers make the operations meet.
#[derive(Debug, Clone)]
enum Operation {
    Admit {
        project: u64,
        slot: u64,
        key: Option<u8>,
        max_active: Option<u32>,
        reserve: u64,
        most: Option<u64>,
    },
    Change {
        reach: u64,
        slot: u64,
        kind: u8,
        behind: u32,
        percent: u8,
    },
    Delete {
        reach: u64,
        slot: u64,
    },
    List {
        project: u64,
        after: Option<u64>,
        limit: u32,
        newest: bool,
        failed: bool,
    },
    Settle {
        number: u64,
    },
    Trim {
        ago: u64,
    },
}

fn operation() -> impl Strategy<Value = Operation> {
    let slot = 0u64..6;
    let project = 1u64..3;
    prop_oneof![
        3 => (
            (project.clone(), slot.clone(), prop::option::of(0u8..2)),
            (prop::option::of(1u32..4), 0u64..2000, prop::option::of(0u64..6000)),
        )
            .prop_map(|((project, slot, key), (max_active, reserve, most))| {
                Operation::Admit { project, slot, key, max_active, reserve, most }
            }),
        10 => (0u64..3, slot.clone(), 0u8..8, 0u32..3, 0u8..120).prop_map(
            |(reach, slot, kind, behind, percent)| Operation::Change { reach, slot, kind, behind, percent }
        ),
        1 => (0u64..3, slot.clone()).prop_map(|(reach, slot)| Operation::Delete { reach, slot }),
        2 => (project, prop::option::of(slot), 0u32..4, any::<bool>(), any::<bool>()).prop_map(
            |(project, after, limit, newest, failed)| Operation::List { project, after, limit, newest, failed }
        ),
        1 => (0u64..60).prop_map(|number| Operation::Settle { number }),
        1 => (0u64..60).prop_map(|ago| Operation::Trim { ago }),
    ]
}

fn reach(number: u64) -> Reach {
    if number == 0 { Reach::Everywhere } else { Reach::Project(sample::scope(number)) }
}

/// Each slot belongs to one project, so that both sides mean the same job.
fn slot_job(slot: u64) -> Job {
    sample::job(1 + slot % 2, 1000 + slot)
}

fn step(kind: u8, epoch: u32, percent: u8, at: u64) -> Move {
    let lost = RequeueReason::Lost { worker: "cpu".to_owned() };
    match kind {
        0 | 7 => Move::Claim { holder: sample::holder("cpu") },
        1 => Move::Progress { epoch, stage: Stage::Denoising, percent },
        2 => Move::Complete { epoch, outcome: sample::outcome() },
        3 => Move::Requeue { epoch, reason: lost, not_before: UnixMillis(at + u64::from(percent % 3)) },
        4 => Move::Fail { epoch, error: JobError::new(FailureCode::EncodingFailed), spent: Spent::default() },
        5 => Move::Cancel,
        _ if percent.is_multiple_of(2) => Move::QueueTimeout,
        _ => Move::Expire,
    }
}

/// Does it, and tells what came of it.
async fn perform(store: &dyn Store, operation: &Operation, at: u64) -> String {
    fn told<T: Debug>(result: Result<T, StoreError>) -> String {
        format!("{result:?}")
    }
    match *operation {
        Operation::Admit { project, slot, key, max_active, reserve, most } => {
            let idempotency = key.map(|key| Idempotency {
                route: "/v1/videos".to_owned(),
                key: key.to_string(),
                fingerprint: project.to_string(),
                forget_before: UnixMillis(1003),
            });
            let job = slot_job(slot);
            let owner = if project == 1 {
                Owner::Project(job.project)
            } else {
                Owner::Organization(job.organization)
            };
            let model = (reserve % 2 == 0).then(|| job.request.spec.model.clone());
            let window = Window::day(UnixMillis(at));
            let seconds =
                most.map(|most_ms| SecondsGate { owner, model, window, most_ms }).into_iter().collect();
            let gates = Gates { seconds, reserve_ms: reserve, ..at_most(max_active) };
            let entry = EventId::new(at, [1; ID_RANDOM_BYTES]);
            told(store.admit(Admission { job, gates, idempotency, entry }).await)
        }
        Operation::Change { reach: by, slot, kind, behind, percent } => {
            let video = slot_job(slot).id;
            let job = store.job(Reach::Everywhere, video).await.unwrap();
            let epoch = job.map_or(0, |job| job.status.epoch).saturating_sub(behind.saturating_sub(1));
            let change = change(video, at, step(kind, epoch, percent, at));
            let author = Some(sample::by_server(at, 2));
            told(store.change(Change { reach: reach(by), by: author, ..change }).await)
        }
        Operation::Delete { reach: by, slot } => {
            let author = sample::by_server(at, 3);
            told(store.delete(reach(by), slot_job(slot).id, UnixMillis(at), author).await)
        }
        Operation::List { project, after, limit, newest, failed } => {
            let query = JobQuery {
                order: if newest { Order::Newest } else { Order::Oldest },
                after: after.map(|slot| slot_job(slot).id),
                limit,
                filter: JobFilter { state: failed.then_some(JobState::Failed), ..JobFilter::default() },
            };
            told(store.jobs(sample::scope(project), query).await)
        }
        Operation::Settle { number } => told(store.settle_event(event(2000 + number)).await),
        Operation::Trim { ago } => {
            let before = UnixMillis(at - ago);
            let idempotency_keys = UnixMillis(1000 + ago % 7);
            told(store.trim(Trim { idempotency_keys, events: before, deleted: before }).await)
        }
    }
}

/// Everything that a store holds.
async fn contents(store: &dyn Store) -> String {
    let far = UnixMillis(u64::MAX >> 1);
    let mut jobs = Vec::new();
    for slot in 0..6 {
        jobs.push(store.job(Reach::Everywhere, slot_job(slot).id).await.unwrap());
    }
    let query = UsageQuery {
        organization: sample::scope(1).organization,
        project: None,
        from: UnixMillis(0),
        to: far,
    };
    let mut tallies = Vec::new();
    for owner in [1, 2].map(|number| Owner::Project(sample::scope(number).project)) {
        tallies.push(store.tally(owner, UnixMillis(3000)).await.unwrap());
    }
    tallies.push(store.tally(Owner::Organization(query.organization), UnixMillis(3000)).await.unwrap());
    format!(
        "{jobs:?} {tallies:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        store.unfinished().await.unwrap(),
        store.pending_events(1000).await.unwrap(),
        store.usage(query).await.unwrap(),
        store.garbage(far, 1000).await.unwrap(),
        store.aged(Aged::Ended(far), 1000).await.unwrap(),
        store.audit_heads().await.unwrap(),
    )
}

proptest! {
    #![proptest_config(history::cases())]

    #[test]
    fn every_history_gives_what_the_model_gives(history in prop::collection::vec(operation(), 1..60)) {
        history::compare(&history, perform, contents);
    }
}
