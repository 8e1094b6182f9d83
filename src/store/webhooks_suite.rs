//! The contract of the webhook stores, run by every implementer, and the comparison of each with the model.

use std::collections::BTreeSet;
use std::fmt::Debug;

use proptest::prelude::*;

use super::*;
use crate::domain::event::EventKind;
use crate::domain::id::{DeliveryId, EndpointId, ID_RANDOM_BYTES, ProjectId};
use crate::domain::webhook::{
    Attempt, CallbackSecrets, Delivery, DeliveryState, Endpoint, EndpointChange, EndpointTarget, Health,
    MAX_IN_FLIGHT, MAX_OF_PROJECT, Receiver, SealedSecret, SigningSecrets, Verdict,
};

fn project(number: u64) -> ProjectId {
    ProjectId::new(number, [0; ID_RANDOM_BYTES])
}

fn target(enabled: bool) -> EndpointTarget {
    EndpointTarget {
        url: "https://hook.example/".to_owned(),
        events: BTreeSet::from([EventKind::Completed]),
        description: None,
        enabled,
    }
}

fn endpoint(owner: u64, number: u64) -> Endpoint {
    Endpoint {
        id: EndpointId::new(number, [0; ID_RANDOM_BYTES]),
        project: project(owner),
        created_at: UnixMillis(number),
        target: target(true),
        secrets: SigningSecrets::new(SealedSecret("sealed".to_owned())),
        health: Health::default(),
    }
}

fn delivery(owner: u64, number: u64, to: Receiver) -> Delivery {
    Delivery {
        id: DeliveryId::new(number, [0; ID_RANDOM_BYTES]),
        event: EventId::new(number, [0; ID_RANDOM_BYTES]),
        kind: "video.completed".to_owned(),
        project: project(owner),
        video: Some(VideoId::new(number % 3, [0; ID_RANDOM_BYTES])),
        to,
        body: "{}".to_owned(),
        created_at: UnixMillis(number),
        state: DeliveryState::Pending,
        attempts: Vec::new(),
        next_attempt_at: Some(UnixMillis(number)),
        trace: None,
    }
}

fn callback(host: u64) -> Receiver {
    Receiver::Callback(format!("https://host{host}.example/hook"))
}

fn claim(now: u64, limit: u32) -> Claim {
    Claim { now: UnixMillis(now), lease_until: UnixMillis(now + 60), limit }
}

fn attempt(at: u64) -> Attempt {
    Attempt { at: UnixMillis(at), status: Some(500), millis: 3, error: None }
}

fn numbers(deliveries: &[Delivery]) -> Vec<u64> {
    deliveries.iter().map(|delivery| delivery.id.unix_millis()).collect()
}

async fn a_slow_receiver_delays_no_other(store: &dyn Store) {
    let slow = (1..=20).map(|number| delivery(1, number, callback(1)));
    let quick = (21..=22).map(|number| delivery(1, number, callback(2)));
    store.add_deliveries(None, slow.chain(quick).collect()).await.unwrap();
    let claimed = store.claim_deliveries(claim(100, 64)).await.unwrap();
    assert_eq!(numbers(&claimed), [1, 2, 3, 4, 21, 22]);
    assert_eq!(store.claim_deliveries(claim(101, 64)).await.unwrap(), []);
    let done = claimed[1].id;
    store.record_attempt(done, attempt(102), Verdict::Delivered).await.unwrap();
    assert_eq!(numbers(&store.claim_deliveries(claim(103, 64)).await.unwrap()), [5]);
    // Whoever claimed the rest is gone.
    assert_eq!(numbers(&store.claim_deliveries(claim(160, 2)).await.unwrap()), [1, 3]);
}

async fn an_event_reaches_a_receiver_once(store: &dyn Store) {
    let first = delivery(1, 1, callback(1));
    let twin = Delivery { id: DeliveryId::new(2, [0; ID_RANDOM_BYTES]), ..first.clone() };
    let other = Delivery { to: callback(2), ..twin.clone() };
    store.add_deliveries(None, vec![first.clone()]).await.unwrap();
    store.add_deliveries(None, vec![twin, other.clone()]).await.unwrap();
    let page =
        store.deliveries(project(1), DeliveryQuery { limit: 10, ..DeliveryQuery::default() }).await.unwrap();
    assert_eq!(page, DeliveryPage { deliveries: vec![other, first], has_more: false });
    assert_eq!(store.open_deliveries().await.unwrap(), 2);
    assert_eq!(store.forget_deliveries(UnixMillis(2)).await.unwrap(), 2);
    assert_eq!(store.open_deliveries().await.unwrap(), 0);
}

async fn an_endpoint_belongs_to_its_project(store: &dyn Store) {
    let (mine, id) = (endpoint(1, 1), endpoint(1, 1).id);
    store.add_endpoint(mine.clone()).await.unwrap();
    assert!(matches!(store.add_endpoint(endpoint(2, 1)).await, Err(StoreError::Exists)));
    assert_eq!(store.endpoint(project(2), id).await.unwrap(), None);
    assert_eq!(store.endpoints(project(2)).await.unwrap(), []);
    let edit = EndpointChange::Edit(target(false));
    assert!(matches!(store.change_endpoint(project(2), id, edit.clone()).await, Err(StoreError::NotFound)));
    assert!(matches!(store.remove_endpoint(project(2), id).await, Err(StoreError::NotFound)));

    let on_its_way = delivery(1, 5, Receiver::Endpoint(id));
    store.add_deliveries(None, vec![on_its_way.clone()]).await.unwrap();
    assert!(matches!(
        store.redeliver(project(2), on_its_way.id, UnixMillis(9)).await,
        Err(StoreError::NotFound)
    ));
    assert_eq!(store.delivery(project(2), on_its_way.id).await.unwrap(), None);

    let mut off = mine;
    off.apply(edit.clone());
    store.change_endpoint(project(1), id, edit).await.unwrap();
    assert_eq!(store.endpoints(project(1)).await.unwrap(), [off]);
    assert_eq!(store.claim_deliveries(claim(10, 9)).await.unwrap(), [], "it waits while the endpoint is off");
    store.change_endpoint(project(1), id, EndpointChange::Edit(target(true))).await.unwrap();
    assert_eq!(store.claim_deliveries(claim(10, 9)).await.unwrap(), std::slice::from_ref(&on_its_way));

    let after = store.record_attempt(on_its_way.id, attempt(11), Verdict::Gone).await.unwrap();
    assert_eq!(after.state, DeliveryState::Exhausted);
    assert!(!store.endpoint(project(1), id).await.unwrap().unwrap().is_active());
    store.remove_endpoint(project(1), id).await.unwrap();
    assert_eq!(store.delivery(project(1), on_its_way.id).await.unwrap(), None);
    assert!(matches!(
        store.record_attempt(on_its_way.id, attempt(12), Verdict::Gone).await,
        Err(StoreError::NotFound)
    ));
}

async fn a_projects_first_callback_secret_stays(store: &dyn Store) {
    let secrets = |text: &str| CallbackSecrets {
        project: project(1),
        secrets: SigningSecrets::new(SealedSecret(text.to_owned())),
        revealed: false,
    };
    assert_eq!(store.callback_secrets(secrets("a")).await.unwrap(), secrets("a"));
    assert_eq!(store.callback_secrets(secrets("b")).await.unwrap(), secrets("a"));
    store.save_callback_secrets(secrets("c")).await.unwrap();
    assert_eq!(store.callback_secrets(secrets("d")).await.unwrap(), secrets("c"));
}

async fn a_failing_endpoint_gets_one_at_a_time(store: &dyn Store) {
    let id = endpoint(1, 1).id;
    store.add_endpoint(endpoint(1, 1)).await.unwrap();
    let all = (1..=10).map(|number| delivery(1, number, Receiver::Endpoint(id))).collect();
    store.add_deliveries(None, all).await.unwrap();
    let mut sizes = Vec::new();
    for now in [100, 200, 300] {
        let claimed = store.claim_deliveries(claim(now, 64)).await.unwrap();
        for delivery in &claimed {
            store.record_attempt(delivery.id, attempt(now), Verdict::Again(UnixMillis(9000))).await.unwrap();
        }
        sizes.push(claimed.len() as u32);
    }
    assert_eq!(sizes, [MAX_IN_FLIGHT, MAX_IN_FLIGHT, 1]);
}

async fn slow_receivers_of_one_project_leave_room_for_another(store: &dyn Store) {
    // A receiver an event, each in a lane of its own.
    let slow = |number| delivery(1, number, callback(number));
    store.add_deliveries(None, (1..=100).map(slow).collect()).await.unwrap();
    let other = delivery(2, 101, callback(1));
    store.add_deliveries(None, vec![other.clone()]).await.unwrap();
    let mine = async |now, limit| {
        let claimed = store.claim_deliveries(claim(now, limit)).await.unwrap();
        let mine = claimed.iter().filter(|delivery| delivery.project == project(1)).count() as u32;
        (mine, claimed.contains(&other))
    };
    assert_eq!(mine(200, 10).await, (10, false), "who came first is first");
    assert_eq!(mine(200, 200).await, (MAX_OF_PROJECT - 10, true));
    assert_eq!(mine(200, 200).await, (0, false));
}

history::every_store! {
    a_slow_receiver_delays_no_other
    slow_receivers_of_one_project_leave_room_for_another
    an_event_reaches_a_receiver_once
    an_endpoint_belongs_to_its_project
    a_projects_first_callback_secret_stays
    a_failing_endpoint_gets_one_at_a_time
}

/// One operation of a random history; small numbers make the operations meet.
#[derive(Debug, Clone)]
enum Operation {
    Endpoint {
        owner: u64,
        number: u64,
    },
    Switch {
        owner: u64,
        number: u64,
        on: bool,
    },
    Remove {
        owner: u64,
        number: u64,
    },
    Add {
        owner: u64,
        number: u64,
        event: u64,
        receiver: u64,
    },
    Claim {
        limit: u32,
        lease: u64,
    },
    Record {
        number: u64,
        verdict: u8,
    },
    Redeliver {
        owner: u64,
        number: u64,
    },
    Page {
        owner: u64,
        receiver: Option<u64>,
        after: Option<u64>,
        state: Option<usize>,
        newest: bool,
        limit: u32,
    },
    Forget {
        before: u64,
    },
}

fn operation() -> impl Strategy<Value = Operation> {
    use prop::option::of;
    let (owner, number) = (|| 1u64..3, || 1u64..4);
    let delivery = || 2000u64..2012;
    prop_oneof![
        2 => (owner(), number()).prop_map(|(owner, number)| Operation::Endpoint { owner, number }),
        1 => (owner(), number(), any::<bool>())
            .prop_map(|(owner, number, on)| Operation::Switch { owner, number, on }),
        1 => (owner(), number()).prop_map(|(owner, number)| Operation::Remove { owner, number }),
        4 => (owner(), delivery(), delivery(), 1u64..6).prop_map(|(owner, number, event, receiver)| {
            Operation::Add { owner, number, event, receiver }
        }),
        3 => (1u32..6, 1u64..8).prop_map(|(limit, lease)| Operation::Claim { limit, lease }),
        4 => (delivery(), 0u8..8).prop_map(|(number, verdict)| Operation::Record { number, verdict }),
        1 => (owner(), delivery()).prop_map(|(owner, number)| Operation::Redeliver { owner, number }),
        1 => (owner(), of(number()), of(delivery()), of(0usize..4), any::<bool>(), 1u32..4).prop_map(
            |(owner, receiver, after, state, newest, limit)| {
                Operation::Page { owner, receiver, after, state, newest, limit }
            }
        ),
        1 => (1990u64..2006).prop_map(|before| Operation::Forget { before }),
    ]
}

fn endpoint_id(number: u64) -> EndpointId {
    EndpointId::new(number, [0; ID_RANDOM_BYTES])
}

fn delivery_id(number: u64) -> DeliveryId {
    DeliveryId::new(number, [0; ID_RANDOM_BYTES])
}

/// Does it, and tells what came of it.
async fn perform(store: &dyn Store, operation: &Operation, at: u64) -> String {
    fn told<T: Debug>(result: Result<T, StoreError>) -> String {
        format!("{result:?}")
    }
    match *operation {
        Operation::Endpoint { owner, number } => told(store.add_endpoint(endpoint(owner, number)).await),
        Operation::Switch { owner, number, on } => {
            let change = EndpointChange::Edit(target(on));
            told(store.change_endpoint(project(owner), endpoint_id(number), change).await)
        }
        Operation::Remove { owner, number } => {
            told(store.remove_endpoint(project(owner), endpoint_id(number)).await)
        }
        Operation::Add { owner, number, event, receiver } => {
            // Deliveries to an endpoint are made from the list of its project's endpoints.
            let known = store.endpoint(project(owner), endpoint_id(receiver)).await.unwrap();
            let to = known.map_or(callback(receiver), |endpoint| Receiver::Endpoint(endpoint.id));
            let event = EventId::new(event, [0; ID_RANDOM_BYTES]);
            told(
                store
                    .add_deliveries(Some(event), vec![Delivery { event, ..delivery(owner, number, to) }])
                    .await,
            )
        }
        Operation::Claim { limit, lease } => {
            let claim = Claim { now: UnixMillis(at), lease_until: UnixMillis(at + lease), limit };
            told(store.claim_deliveries(claim).await)
        }
        Operation::Record { number, verdict } => {
            let verdict = match verdict {
                0..=4 => Verdict::Again(UnixMillis(at + u64::from(verdict))),
                5 => Verdict::Exhausted,
                6 => Verdict::Gone,
                _ => Verdict::Delivered,
            };
            told(store.record_attempt(delivery_id(number), attempt(at), verdict).await)
        }
        Operation::Redeliver { owner, number } => {
            told(store.redeliver(project(owner), delivery_id(number), UnixMillis(at)).await)
        }
        Operation::Page { owner, receiver, after, state, newest, limit } => {
            let query = DeliveryQuery {
                order: if newest { Order::Newest } else { Order::Oldest },
                endpoint: receiver.map(endpoint_id),
                video: None,
                state: state.map(|state| DeliveryState::ALL[state]),
                after: after.map(delivery_id),
                limit,
            };
            told(store.deliveries(project(owner), query).await)
        }
        Operation::Forget { before } => told(store.forget_deliveries(UnixMillis(before)).await),
    }
}

/// Everything that a store holds.
async fn contents(store: &dyn Store) -> String {
    let mut told = format!("{} open", store.open_deliveries().await.unwrap());
    for owner in 1..3 {
        let query = DeliveryQuery { limit: 100, ..DeliveryQuery::default() };
        told += &format!("{:?}", store.endpoints(project(owner)).await.unwrap());
        told += &format!("{:?}", store.deliveries(project(owner), query).await.unwrap());
    }
    told
}

proptest! {
    #![proptest_config(history::cases())]

    #[test]
    fn every_history_gives_what_the_model_gives(history in prop::collection::vec(operation(), 1..80)) {
        history::compare(&history, perform, contents);
    }
}
