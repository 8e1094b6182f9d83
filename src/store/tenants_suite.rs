//! The contract of what is kept of tenants, run by every implementer, and the comparison of each with the model.

use std::fmt::Debug;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;

use super::*;
use crate::domain::audit::{Actor, AuditEntry, AuditKind};
use crate::domain::audit_chain::{AuditChain, ChainHead};
use crate::domain::failure::FailureCode;
use crate::domain::id::{ID_RANDOM_BYTES, KeyId, OrganizationId, ProjectId, ServiceAccountId, SigningKeyId};
use crate::domain::job::JobError;
use crate::domain::key::{KeyOwner, KeyRecord, Scope};
use crate::domain::limits::{Cap, Caps, OrganizationLimits, RateLimit};
use crate::domain::model::ModelId;
use crate::domain::moves::Move;
use crate::domain::sample;
use crate::domain::tenant::{Organization, Project, ServiceAccount};
use crate::domain::token::{SigningKey, TokenAlgorithm};

fn organization(number: u64) -> OrganizationId {
    OrganizationId::new(number, [0; ID_RANDOM_BYTES])
}

fn project(number: u64) -> ProjectId {
    ProjectId::new(number, [0; ID_RANDOM_BYTES])
}

fn key(number: u64, owner: KeyOwner) -> KeyRecord {
    KeyRecord {
        id: KeyId::new(number, [0; ID_RANDOM_BYTES]),
        handle: format!("{number:016}"),
        name: "a key".to_owned(),
        owner,
        scopes: vec![Scope::All],
        digest: "00".repeat(32),
        pepper_version: 1,
        redacted: "vk_proj_Exam…9TQK".to_owned(),
        created_at: UnixMillis(number),
        expires_at: None,
        overlap_ends_at: None,
        revoked_at: None,
        last_used_at: None,
    }
}

fn entry(owner: u64, number: u64, kind: AuditKind) -> AuditEntry {
    AuditEntry {
        id: EventId::new(number, [0; ID_RANDOM_BYTES]),
        organization: Some(organization(owner)),
        project: number.is_multiple_of(2).then(|| project(number % 3)),
        kind,
        actor: Actor::Key(KeyId::new(1, [0; ID_RANDOM_BYTES])),
        subject: "key_1".to_owned(),
        detail: None,
        at: UnixMillis(number),
    }
}

fn limit(owner: u64, model: Option<&str>, most: u32) -> RateLimit {
    let caps = Caps { active_jobs: NonZeroU32::new(most).map(Cap::At), ..Caps::default() };
    RateLimit { project: project(owner), model: model.map(ModelId::new), caps }
}

async fn keys_and_tenants_are_found_again(store: &dyn Store) {
    let scope = sample::scope(1);
    let organization = Organization {
        id: scope.organization,
        name: "default".to_owned(),
        created_at: UnixMillis(1),
        suspended_at: None,
        limits: OrganizationLimits::default(),
    };
    store.save_organization(organization.clone()).await.unwrap();
    assert_eq!(store.organization(scope.organization).await.unwrap(), Some(organization.clone()));
    assert_eq!(store.organizations().await.unwrap(), [organization]);
    let project = Project {
        id: scope.project,
        organization: scope.organization,
        name: "default".to_owned(),
        created_at: UnixMillis(1),
        archived_at: None,
    };
    store.save_project(project.clone()).await.unwrap();
    assert_eq!(store.project(scope.project).await.unwrap(), Some(project.clone()));
    assert_eq!(store.projects(scope.organization).await.unwrap(), [project]);
    let account = ServiceAccount {
        id: ServiceAccountId::new(1, [0; ID_RANDOM_BYTES]),
        project: scope.project,
        name: "default".to_owned(),
        created_at: UnixMillis(1),
    };
    store.save_account(account.clone()).await.unwrap();
    assert_eq!(store.accounts(scope.project).await.unwrap(), std::slice::from_ref(&account));
    let mut mine = key(1, KeyOwner::Project { scope, account: account.id });
    let admins = key(2, KeyOwner::Admin { organization: scope.organization });
    store.save_key(mine.clone()).await.unwrap();
    store.save_key(admins.clone()).await.unwrap();
    store.save_key(key(3, KeyOwner::Operator)).await.unwrap();
    store.touch_key(mine.id, UnixMillis(9)).await.unwrap();
    mine.last_used_at = Some(UnixMillis(9));
    assert_eq!(store.key_by_handle(mine.handle.clone()).await.unwrap(), Some(mine.clone()));
    assert_eq!(store.key(mine.id).await.unwrap(), Some(mine.clone()));
    assert_eq!(store.keys(KeysOf::Project(scope.project)).await.unwrap(), [mine]);
    assert_eq!(store.keys(KeysOf::Organization(scope.organization)).await.unwrap(), [admins]);
    assert_eq!(store.key_by_handle("nobody".to_owned()).await.unwrap(), None);
    store.delete_account(account.id).await.unwrap();
    assert_eq!(store.accounts(scope.project).await.unwrap(), []);
}

async fn limits_are_kept_by_model(store: &dyn Store) {
    for (owner, model, most) in [(1, Some("b"), 1), (1, None, 2), (2, None, 3), (1, Some("b"), 4)] {
        store.save_rate_limit(limit(owner, model, most)).await.unwrap();
    }
    assert_eq!(store.rate_limits(project(1)).await.unwrap(), [limit(1, None, 2), limit(1, Some("b"), 4)]);
    assert_eq!(store.rate_limits(project(3)).await.unwrap(), []);
}

async fn an_audit_log_only_grows(store: &dyn Store) {
    for number in 1..6 {
        store.record(entry(1, number, AuditKind::ALL[number as usize % 2])).await.unwrap();
    }
    assert!(matches!(store.record(entry(1, 3, AuditKind::ALL[5])).await, Err(StoreError::Exists)));
    store.record(entry(2, 9, AuditKind::ALL[0])).await.unwrap();
    let numbers = async |query: AuditQuery| {
        let page = store.audit(Some(organization(1)), AuditQuery { limit: 3, ..query }).await.unwrap();
        (page.entries.iter().map(|entry| entry.at.0).collect::<Vec<_>>(), page.has_more)
    };
    assert_eq!(numbers(AuditQuery::default()).await, (vec![5, 4, 3], true));
    let after = Some(entry(1, 3, AuditKind::ALL[0]).id);
    assert_eq!(numbers(AuditQuery { after, ..AuditQuery::default() }).await, (vec![2, 1], false));
    let kinds = vec![AuditKind::ALL[0]];
    assert_eq!(numbers(AuditQuery { kinds, ..AuditQuery::default() }).await, (vec![4, 2], false));
    let projects = vec![project(1)];
    assert_eq!(numbers(AuditQuery { projects, ..AuditQuery::default() }).await, (vec![4], false));
    let (from, to) = (Some(UnixMillis(2)), Some(UnixMillis(4)));
    let order = Order::Oldest;
    assert_eq!(numbers(AuditQuery { order, from, to, ..AuditQuery::default() }).await, (vec![2, 3], false));
    let foreign = AuditQuery { after: Some(entry(2, 9, AuditKind::ALL[0]).id), ..AuditQuery::default() };
    assert!(matches!(store.audit(Some(organization(1)), foreign).await, Err(StoreError::NotFound)));
}

fn asked(number: u64) -> AnswerKey {
    AnswerKey {
        owner: format!("proj_{}", number % 2),
        route: "/v1/tokens".to_owned(),
        key: number.to_string(),
    }
}

fn answer(at: u64) -> Answer {
    Answer { fingerprint: "f".to_owned(), answered_at: UnixMillis(at), sealed: format!("sealed {at}") }
}

async fn an_answer_is_kept_for_a_while(store: &dyn Store) {
    store.keep_answer(asked(1), answer(1000)).await.unwrap();
    let found = async |number, since| store.answer(asked(number), UnixMillis(since)).await.unwrap();
    assert_eq!(found(1, 1000).await, Some(answer(1000)));
    assert_eq!((found(1, 1001).await, found(3, 0).await), (None, None));
    store.keep_answer(asked(1), answer(2000)).await.unwrap();
    assert_eq!(found(1, 1001).await, Some(answer(2000)));
    let before = UnixMillis(2001);
    store.trim(Trim { idempotency_keys: before, events: before, deleted: before }).await.unwrap();
    assert_eq!(found(1, 0).await, None);
}

async fn what_is_held_back_comes_together_or_never(store: &dyn Store) {
    let organization = organization(1);
    let own = KeyOwner::Admin { organization };
    let log =
        async || store.audit(Some(organization), AuditQuery { limit: 9, ..AuditQuery::default() }).await;
    let deed = async |number, last| {
        together(store, async {
            store.save_key(key(number, own)).await?;
            let noted = together(store, store.record(entry(1, number, AuditKind::ALL[0]))).await;
            assert_eq!(log().await.unwrap().entries, [], "nothing is written before all is known");
            noted.and(last)
        })
        .await
    };
    let told = Arc::new(AtomicU64::new(0));
    let tell = || {
        let told = told.clone();
        once_durable(move || told.store(told.load(Ordering::Relaxed) + 1, Ordering::Relaxed));
    };
    assert!(matches!(deed(1, Err(StoreError::NotEnded)).await, Err(StoreError::NotEnded)));
    let (answered, held) = hold_back(async {
        tell();
        deed(2, Ok(())).await?;
        store.keep_answer(asked(1), answer(1000)).await
    })
    .await;
    answered.unwrap();
    assert_eq!(store.keys(KeysOf::Organization(organization)).await.unwrap(), []);
    assert_eq!((log().await.unwrap().entries, told.load(Ordering::Relaxed)), (vec![], 0));
    store.commit(held).await.unwrap();
    assert_eq!(store.keys(KeysOf::Organization(organization)).await.unwrap(), [key(2, own)]);
    let entries = [entry(1, 2, AuditKind::ALL[0])];
    assert_eq!((log().await.unwrap().entries, told.load(Ordering::Relaxed)), (entries.to_vec(), 1));
    assert_eq!(store.answer(asked(1), UnixMillis(0)).await.unwrap(), Some(answer(1000)));

    let twice = together(store, async {
        tell();
        store.save_key(key(3, own)).await?;
        store.record(entries[0].clone()).await
    });
    assert!(matches!(twice.await, Err(StoreError::Exists)), "a refusal is told as what it is");
    assert_eq!(store.keys(KeysOf::Organization(organization)).await.unwrap(), [key(2, own)]);
    assert_eq!((log().await.unwrap().entries, told.load(Ordering::Relaxed)), (entries.to_vec(), 1));
}

async fn every_entry_is_sealed_with_the_one_before_it(store: &dyn Store) {
    let job = sample::job(1, 1000);
    let (entry_id, change) = (sample::entry(&job), |at, step, by| {
        let event = EventId::new(at, [5; ID_RANDOM_BYTES]);
        store.change(Change { reach: Reach::Everywhere, video: job.id, step, at: UnixMillis(at), event, by })
    });
    let gates = Gates::default();
    store.admit(Admission { job: job.clone(), gates, idempotency: None, entry: entry_id }).await.unwrap();
    change(1001, Move::Claim { holder: sample::holder("cpu") }, None).await.unwrap();
    change(1002, Move::Cancel, Some(sample::by_server(1002, 6))).await.unwrap();
    change(1003, Move::Cancel, Some(sample::by_server(1003, 6))).await.unwrap();
    let error = JobError::new(FailureCode::Cancelled);
    let ended = Move::Fail { epoch: 1, error, spent: Default::default() };
    change(1004, ended, None).await.unwrap();
    store.delete(Reach::Everywhere, job.id, UnixMillis(1005), sample::by_server(1005, 6)).await.unwrap();
    store
        .record(AuditEntry { organization: None, project: None, ..entry(1, 7, AuditKind::ConfigChanged) })
        .await
        .unwrap();
    store.record(AuditEntry { project: None, ..entry(1, 8, AuditKind::TokenCreated) }).await.unwrap();

    let heads = store.audit_heads().await.unwrap();
    let chains = [
        AuditChain::Installation,
        AuditChain::Organization(job.organization),
        AuditChain::Project(job.project),
    ];
    assert_eq!(
        heads.iter().map(|head| (head.chain, head.number)).collect::<Vec<_>>(),
        chains.into_iter().zip([1, 1, 3]).collect::<Vec<_>>()
    );
    for head in heads {
        let rows = store.audit_rows(head.chain, 0, 100).await.unwrap();
        assert_eq!(rows.iter().try_fold(ChainHead::start(head.chain), ChainHead::followed_by), Ok(head));
        assert_eq!(store.audit_rows(head.chain, 1, 1).await.unwrap(), rows.get(1..2).unwrap_or_default());
    }
    let query = AuditQuery { limit: 9, order: Order::Oldest, ..AuditQuery::default() };
    let page = store
        .audit(Some(job.organization), AuditQuery { projects: vec![job.project], ..query.clone() })
        .await
        .unwrap();
    let told = page.entries.iter().map(|entry| (entry.kind, entry.actor, entry.at.0)).collect::<Vec<_>>();
    assert_eq!(
        told,
        [
            (AuditKind::VideoCreated, Actor::Key(job.key), 1000),
            (AuditKind::VideoCancelled, Actor::Server, 1002),
            (AuditKind::VideoDeleted, Actor::Server, 1005),
        ],
        "what changes nothing, and what nobody asked for, is not in it"
    );
    let page = store.audit(None, query).await.unwrap();
    assert_eq!(page.entries.iter().map(|entry| entry.kind).collect::<Vec<_>>(), [AuditKind::ConfigChanged]);
}

async fn signing_keys_are_kept_in_order(store: &dyn Store) {
    let key = |number, retires_at| SigningKey {
        id: SigningKeyId::new(number, [0; ID_RANDOM_BYTES]),
        algorithm: TokenAlgorithm::EdDsa,
        created_at: UnixMillis(number),
        retires_at,
    };
    store.save_signing_key(key(2, None)).await.unwrap();
    store.save_signing_key(key(1, None)).await.unwrap();
    store.save_signing_key(key(1, Some(UnixMillis(5)))).await.unwrap();
    assert_eq!(store.signing_keys().await.unwrap(), [key(1, Some(UnixMillis(5))), key(2, None)]);
}

history::every_store! {
    keys_and_tenants_are_found_again
    limits_are_kept_by_model
    an_audit_log_only_grows
    an_answer_is_kept_for_a_while
    what_is_held_back_comes_together_or_never
    every_entry_is_sealed_with_the_one_before_it
    signing_keys_are_kept_in_order
}

/// One operation of a random history; small numbers make the operations meet.
#[derive(Debug, Clone)]
enum Operation {
    Key { number: u64, owner: u64 },
    Touch { number: u64 },
    Account { number: u64, owner: u64 },
    DropAccount { number: u64 },
    Limit { owner: u64, model: bool, most: u32 },
    Record { owner: u64, number: u64, kind: usize },
    Log { owner: u64, after: Option<u64>, kind: Option<usize>, newest: bool, limit: u32 },
    Keep { number: u64 },
    Answer { number: u64, ago: u64 },
    Trim { ago: u64 },
}

fn operation() -> impl Strategy<Value = Operation> {
    use prop::option::of;
    let (owner, number, kind) = (|| 1u64..3, || 1u64..5, || 0usize..3);
    prop_oneof![
        (number(), 0u64..5).prop_map(|(number, owner)| Operation::Key { number, owner }),
        number().prop_map(|number| Operation::Touch { number }),
        (number(), owner()).prop_map(|(number, owner)| Operation::Account { number, owner }),
        number().prop_map(|number| Operation::DropAccount { number }),
        (owner(), any::<bool>(), 1u32..4).prop_map(|(owner, model, most)| Operation::Limit {
            owner,
            model,
            most
        }),
        (owner(), number(), kind()).prop_map(|(owner, number, kind)| Operation::Record {
            owner,
            number,
            kind
        }),
        (owner(), of(number()), of(kind()), any::<bool>(), 0u32..4).prop_map(
            |(owner, after, kind, newest, limit)| Operation::Log { owner, after, kind, newest, limit }
        ),
        number().prop_map(|number| Operation::Keep { number }),
        (number(), 0u64..30).prop_map(|(number, ago)| Operation::Answer { number, ago }),
        (0u64..30).prop_map(|ago| Operation::Trim { ago }),
    ]
}

fn owner_of(number: u64) -> KeyOwner {
    let account = ServiceAccountId::new(1, [0; ID_RANDOM_BYTES]);
    match number {
        0 => KeyOwner::Operator,
        1 | 2 => KeyOwner::Admin { organization: organization(number) },
        _ => KeyOwner::Project { scope: sample::scope(number - 2), account },
    }
}

fn account_id(number: u64) -> ServiceAccountId {
    ServiceAccountId::new(number, [0; ID_RANDOM_BYTES])
}

/// Does it, and tells what came of it.
async fn perform(store: &dyn Store, operation: &Operation, at: u64) -> String {
    fn told<T: Debug>(result: Result<T, StoreError>) -> String {
        format!("{result:?}")
    }
    match *operation {
        Operation::Key { number, owner } => told(store.save_key(key(number, owner_of(owner))).await),
        Operation::Touch { number } => {
            let id = key(number, KeyOwner::Operator).id;
            told(store.touch_key(id, UnixMillis(at)).await) + &told(store.key(id).await)
        }
        Operation::Account { number, owner } => {
            let name = format!("at {at}");
            let account = ServiceAccount {
                id: account_id(number),
                project: project(owner),
                name,
                created_at: UnixMillis(1),
            };
            told(store.save_account(account).await)
        }
        Operation::DropAccount { number } => told(store.delete_account(account_id(number)).await),
        Operation::Limit { owner, model, most } => {
            told(store.save_rate_limit(limit(owner, model.then_some("m"), most)).await)
        }
        Operation::Record { owner, number, kind } => {
            told(store.record(entry(owner, number, AuditKind::ALL[kind])).await)
        }
        Operation::Log { owner, after, kind, newest, limit } => {
            let query = AuditQuery {
                order: if newest { Order::Newest } else { Order::Oldest },
                after: after.map(|number| entry(1, number, AuditKind::ALL[0]).id),
                limit,
                kinds: kind.map(|kind| AuditKind::ALL[kind]).into_iter().collect(),
                ..AuditQuery::default()
            };
            told(store.audit(Some(organization(owner)), query).await)
        }
        Operation::Keep { number } => {
            let account = ServiceAccount {
                id: account_id(number),
                project: project(1),
                name: "made with the answer".to_owned(),
                created_at: UnixMillis(1),
            };
            let answered = async {
                store.save_account(account).await?;
                store.keep_answer(asked(number), answer(at)).await
            };
            told(together(store, answered).await)
        }
        Operation::Answer { number, ago } => told(store.answer(asked(number), UnixMillis(at - ago)).await),
        Operation::Trim { ago } => {
            let before = UnixMillis(at - ago);
            told(store.trim(Trim { idempotency_keys: before, events: before, deleted: before }).await)
        }
    }
}

/// Everything that a store holds.
async fn contents(store: &dyn Store) -> String {
    let mut told = String::new();
    for owner in 1..3 {
        let query = AuditQuery { limit: 100, ..AuditQuery::default() };
        told += &format!("{:?}", store.keys(KeysOf::Project(project(owner))).await.unwrap());
        told += &format!("{:?}", store.keys(KeysOf::Organization(organization(owner))).await.unwrap());
        told += &format!("{:?}", store.accounts(project(owner)).await.unwrap());
        told += &format!("{:?}", store.rate_limits(project(owner)).await.unwrap());
        told += &format!("{:?}", store.audit(Some(organization(owner)), query).await.unwrap());
    }
    told += &format!("{:?}", store.audit_heads().await.unwrap());
    told
}

proptest! {
    #![proptest_config(history::cases())]

    #[test]
    fn every_history_gives_what_the_model_gives(history in prop::collection::vec(operation(), 1..60)) {
        history::compare(&history, perform, contents);
    }
}
