//! The contract of the file store and of garbage that is yet to be named, and their comparison with the model.

use std::fmt::Debug;

use proptest::prelude::*;

use super::*;
use crate::domain::asset::InputImage;
use crate::domain::file::{FilePurpose, StoredFile};
use crate::domain::id::{FileId, ID_RANDOM_BYTES};
use crate::domain::sample;

fn file_id(number: u64) -> FileId {
    FileId::new(number, [0; ID_RANDOM_BYTES])
}

/// Every second file is a picture; it lives for a hundred milliseconds.
fn file(project: u64, number: u64) -> StoredFile {
    StoredFile {
        id: file_id(number),
        scope: sample::scope(project),
        filename: format!("{number}.png"),
        purpose: if number.is_multiple_of(2) { FilePurpose::Vision } else { FilePurpose::UserData },
        bytes: number,
        sha256: "00".repeat(32),
        content_type: "image/png".to_owned(),
        created_at: UnixMillis(number),
        expires_at: UnixMillis(number + 100),
    }
}

fn query(now: u64) -> FileQuery {
    FileQuery { limit: 10, now: UnixMillis(now), ..FileQuery::default() }
}

async fn a_file_lives_until_its_time_or_its_deletion(store: &dyn Store) {
    for number in 1000..1004 {
        store.save_file(file(1, number)).await.unwrap();
    }
    store.save_file(file(2, 1009)).await.unwrap();
    let mine = sample::scope(1);
    let ids = |page: FilePage| page.files.iter().map(|file| file.created_at.0).collect::<Vec<_>>();
    assert_eq!(ids(store.files(mine, query(1010)).await.unwrap()), [1003, 1002, 1001, 1000]);
    assert_eq!(ids(store.files(mine, query(1101)).await.unwrap()), [1003, 1002]);
    let pictures = FileQuery { purpose: Some(FilePurpose::Vision), ..query(1010) };
    assert_eq!(ids(store.files(mine, pictures).await.unwrap()), [1002, 1000]);
    let reach = |project| Reach::Project(sample::scope(project));
    assert_eq!(store.file(reach(1), file_id(1000)).await.unwrap(), Some(file(1, 1000)));
    assert_eq!(store.file(reach(2), file_id(1000)).await.unwrap(), None);

    let foreign = store.delete_file(sample::scope(2), file_id(1002), UnixMillis(1011)).await;
    assert!(matches!(foreign, Err(StoreError::NotFound)));
    let garbage = store.delete_file(mine, file_id(1002), UnixMillis(1011)).await.unwrap();
    assert_eq!(garbage.left, Left::File { file: file_id(1002) });
    assert_eq!(store.garbage(UnixMillis(1011), 10).await.unwrap(), [garbage]);
    let twice = store.delete_file(mine, file_id(1002), UnixMillis(1012)).await;
    assert!(matches!(twice, Err(StoreError::NotFound)));
    let behind = |number| FileQuery { after: Some(file_id(number)), ..query(1010) };
    assert_eq!(ids(store.files(mine, behind(1002)).await.unwrap()), [1001, 1000]);
    for unknown in [1009, 4000] {
        assert!(matches!(store.files(mine, behind(unknown)).await, Err(StoreError::NotFound)));
    }
    assert_eq!(store.expired_files(UnixMillis(1099), 10).await.unwrap(), []);
    assert_eq!(store.expired_files(UnixMillis(1103), 2).await.unwrap(), [file(1, 1000), file(1, 1001)]);
}

async fn bytes_are_garbage_until_a_record_names_them(store: &dyn Store) {
    let job = sample::job(1, 1000);
    let reserved = |left| Garbage { due: UnixMillis(5000), scope: sample::scope(1), left };
    let (input, bytes) = (Left::Input { video: job.id }, Left::File { file: file_id(1001) });
    for left in [input, bytes] {
        store.reserve(reserved(left)).await.unwrap();
    }
    let due = || store.garbage(UnixMillis(5000), 10);
    assert_eq!(due().await.unwrap(), [reserved(bytes), reserved(input)]);
    store.save_file(file(1, 1001)).await.unwrap();
    assert_eq!(due().await.unwrap(), [reserved(input)]);
    let picture = InputImage {
        file_id: None,
        sha256: "00".repeat(32),
        width: 64,
        height: 64,
        content_type: "image/png".to_owned(),
    };
    let mut job = job;
    job.request.input = Some(picture);
    store
        .admit(Admission {
            entry: sample::entry(&job),
            job: job.clone(),
            gates: Gates::default(),
            idempotency: None,
        })
        .await
        .unwrap();
    assert_eq!(due().await.unwrap(), []);
    let event = crate::domain::id::EventId::new(1, [0; ID_RANDOM_BYTES]);
    let cancel = Change {
        reach: Reach::Everywhere,
        video: job.id,
        step: crate::domain::moves::Move::Cancel,
        at: UnixMillis(2000),
        event,
        by: None,
    };
    store.change(cancel).await.unwrap();
    let left =
        store.delete(Reach::Everywhere, job.id, UnixMillis(3000), sample::by_server(3000, 9)).await.unwrap();
    assert_eq!(left, [Garbage { due: UnixMillis(3000), ..reserved(input) }]);
    assert_eq!(due().await.unwrap(), left);
}

history::every_store! {
    a_file_lives_until_its_time_or_its_deletion
    bytes_are_garbage_until_a_record_names_them
}

/// One operation of a random history; small numbers make the operations meet.
#[derive(Debug, Clone)]
enum Operation {
    Reserve { number: u64 },
    Save { number: u64 },
    Delete { project: u64, number: u64 },
    List { project: u64, after: Option<u64>, limit: u32, newest: bool, pictures: bool },
    Expired { limit: u32 },
    Forget,
}

fn operation() -> impl Strategy<Value = Operation> {
    let (project, number) = (1u64..3, 1995u64..2005);
    prop_oneof![
        1 => number.clone().prop_map(|number| Operation::Reserve { number }),
        4 => number.clone().prop_map(|number| Operation::Save { number }),
        2 => (project.clone(), number.clone())
            .prop_map(|(project, number)| Operation::Delete { project, number }),
        3 => (project, prop::option::of(number), 0u32..4, any::<bool>(), any::<bool>()).prop_map(
            |(project, after, limit, newest, pictures)| Operation::List { project, after, limit, newest, pictures }
        ),
        1 => (0u32..4).prop_map(|limit| Operation::Expired { limit }),
        1 => Just(Operation::Forget),
    ]
}

/// Each number belongs to one project, and its file has a short time to live.
fn short_lived(number: u64) -> StoredFile {
    StoredFile { expires_at: UnixMillis(number + 20), ..file(1 + number % 2, number) }
}

/// Does it, and tells what came of it.
async fn perform(store: &dyn Store, operation: &Operation, at: u64) -> String {
    fn told<T: Debug>(result: Result<T, StoreError>) -> String {
        format!("{result:?}")
    }
    let now = UnixMillis(at);
    match *operation {
        Operation::Reserve { number } => {
            let left = Left::File { file: file_id(number) };
            told(store.reserve(Garbage { due: now, scope: short_lived(number).scope, left }).await)
        }
        Operation::Save { number } => told(store.save_file(short_lived(number)).await),
        Operation::Delete { project, number } => {
            told(store.delete_file(sample::scope(project), file_id(number), now).await)
        }
        Operation::List { project, after, limit, newest, pictures } => {
            let query = FileQuery {
                order: if newest { Order::Newest } else { Order::Oldest },
                after: after.map(file_id),
                limit,
                purpose: pictures.then_some(FilePurpose::Vision),
                now,
            };
            told(store.files(sample::scope(project), query).await)
        }
        Operation::Expired { limit } => told(store.expired_files(now, limit).await),
        Operation::Forget => match store.garbage(now, 1).await.unwrap().pop() {
            Some(first) => told(store.forget_garbage(first).await),
            None => "nothing to forget".to_owned(),
        },
    }
}

/// Every byte that is to be removed.
async fn contents(store: &dyn Store) -> String {
    format!("{:?}", store.garbage(UnixMillis(u64::MAX >> 1), 1000).await.unwrap())
}

proptest! {
    #![proptest_config(history::cases())]

    #[test]
    fn every_history_gives_what_the_model_gives(history in prop::collection::vec(operation(), 1..60)) {
        history::compare(&history, perform, contents);
    }
}
