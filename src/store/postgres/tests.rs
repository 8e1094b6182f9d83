//! What only a server that others can reach and that can be lost has to answer for.

use std::time::{Duration, Instant};

use super::lossy::LossyWay;
use super::{open, open_beside};
use crate::domain::id::VideoId;
use crate::domain::job::Job;
use crate::domain::sample;
use crate::store::cluster::Database;
use crate::store::{Admission, Gates, JobFilter, JobQuery, JobStore, Reach, SqlStore, StoreError, history};

/// Longer than anything takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

fn admission(job: &Job) -> Admission {
    Admission { entry: sample::entry(job), job: job.clone(), gates: Gates::default(), idempotency: None }
}

async fn has(store: &SqlStore, video: VideoId) -> bool {
    store.job(Reach::Everywhere, video).await.unwrap().is_some()
}

#[tokio::test]
async fn a_database_has_one_server_and_keeps_its_jobs() {
    let (database, store) = history::postgres().await;
    assert!(matches!(open(&database.url()).await, Err(StoreError::Locked)));
    let job = sample::job(1, 1000);
    store.admit(admission(&job)).await.unwrap();
    let beside = open_beside(&database.url()).await.unwrap();
    beside.admit(admission(&sample::job(1, 2000))).await.unwrap();
    drop((store, beside));
    let again = opened(async || open(&database.url()).await).await;
    assert_eq!(again.unfinished().await.unwrap(), [job, sample::job(1, 2000)]);
}

/// As soon as the database can be had.
async fn opened(open: impl AsyncFn() -> Result<SqlStore, StoreError>) -> SqlStore {
    let deadline = Instant::now() + DEADLINE;
    loop {
        match open().await {
            Ok(store) => return store,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_cut_connection_is_found_again_before_anybody_is_refused() {
    let (database, store) = history::postgres().await;
    store.admit(admission(&sample::job(1, 1000))).await.unwrap();
    assert!(database.cut() > 0);
    let job = sample::job(1, 2000);
    store.admit(admission(&job)).await.unwrap();
    assert!(has(&store, job.id).await);
    assert!(matches!(open(&database.url()).await, Err(StoreError::Locked)), "the lock is taken again");
}

#[tokio::test]
async fn a_server_that_was_superseded_writes_no_more_and_knows_it() {
    let (database, store) = history::postgres().await;
    let ended = store.ended();
    // As a server does that found the lock free.
    database.statement("update server set generation = generation + 1");
    let refused = store.admit(admission(&sample::job(1, 1000))).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Unavailable(why) if why.contains("another server")), "{refused}");
    let why = tokio::time::timeout(DEADLINE, ended).await.unwrap();
    assert!(why.contains("another server"), "{why}");
    assert!(store.unfinished().await.unwrap().is_empty());
}

/// It was cut off, and lost the lock with its connection, before the other came.
#[tokio::test]
async fn a_server_that_comes_back_to_anothers_database_ends() {
    let database = Database::new();
    let way = LossyWay::to(&database);
    let store = open(&way.url()).await.unwrap();
    way.close();
    assert!(database.cut() > 0);
    let other = opened(async || open(&database.url()).await).await;
    way.open();
    let why = tokio::time::timeout(DEADLINE, store.ended()).await.unwrap();
    assert!(why.contains("another server"), "{why}");
    other.admit(admission(&sample::job(1, 1000))).await.unwrap();
}

#[tokio::test]
async fn a_server_that_was_superseded_knows_it_though_it_writes_nothing() {
    let (database, store) = history::postgres().await;
    database.statement("update server set generation = generation + 1");
    let why = tokio::time::timeout(DEADLINE, store.ended()).await.unwrap();
    assert!(why.contains("another server"), "{why}");
}

#[tokio::test]
async fn a_commit_that_happened_is_told_so_though_its_answer_was_lost() {
    let database = Database::new();
    let way = LossyWay::to(&database);
    let store = open(&way.url()).await.unwrap();
    way.lose_the_answer_to_a_commit();
    let job = sample::job(1, 1000);
    store.admit(admission(&job)).await.unwrap();
    assert!(way.has_lost_it());
    assert!(has(&store, job.id).await);
}

/// The killed server had written nothing of the transaction to disk, so that the one that comes back gives its number to
/// somebody else's, which is committed.
#[tokio::test]
async fn a_commit_that_a_crash_undid_is_not_taken_for_anothers() {
    let database = Database::alone();
    let way = LossyWay::to(&database);
    let store = open(&way.url()).await.unwrap();
    way.hold_a_commit();
    let (lost, other) = (sample::job(1, 1000), sample::job(1, 2000));
    let meanwhile = async {
        way.is_closed().await;
        database.kill_server();
        let beside = opened(async || open_beside(&database.url()).await).await;
        beside.admit(admission(&other)).await.unwrap();
        way.open();
    };
    let (told, ()) = tokio::join!(store.admit(admission(&lost)), meanwhile);
    assert!(matches!(told, Err(StoreError::Unavailable(_))), "{told:?}");
    store.admit(admission(&lost)).await.unwrap();
    assert_eq!(store.unfinished().await.unwrap(), [lost, other]);
}

/// The trigger ends the connection while the commit runs, so the transaction is undone: the caller sees no more of it than
/// of one whose answer alone was lost.
#[tokio::test]
async fn a_commit_that_did_not_happen_is_told_so_though_no_answer_came() {
    let (database, store) = history::postgres().await;
    database.statement(
        "create function cut() returns trigger language plpgsql as $$
         begin perform pg_terminate_backend(pg_backend_pid()); return null; end $$;
         create constraint trigger cut after insert on jobs deferrable initially deferred
         for each row execute function cut()",
    );
    let job = sample::job(1, 1000);
    let refused = store.admit(admission(&job)).await.unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable(_)), "{refused}");
    assert!(!has(&store, job.id).await);
    database.statement("drop trigger cut on jobs");
    store.admit(admission(&job)).await.unwrap();
    assert!(has(&store, job.id).await);
}

/// The server kills itself between batches, again and again, while several callers write: whatever was acknowledged is
/// there, whatever was refused for good is not, and every refusal ends.
#[tokio::test]
async fn a_killed_postmaster_loses_nothing_that_was_acknowledged() {
    const JOBS: u64 = 200;
    let database = Database::alone();
    let store = open(&database.url()).await.unwrap();
    let (mut acknowledged, mut refused) = (Vec::new(), 0);
    let deadline = Instant::now() + DEADLINE;
    for number in 0..JOBS {
        if number % 50 == 25 {
            database.kill_server();
        }
        let job = sample::job(1, 1000 + number);
        loop {
            match store.admit(admission(&job)).await {
                Ok(_) => break,
                // It had been refused, and had happened.
                Err(StoreError::Exists) => panic!("a refusal of {} was not the truth", job.id),
                Err(StoreError::Unavailable(why)) => {
                    assert!(Instant::now() < deadline, "the server never comes back: {why}");
                    refused += 1;
                }
                Err(other) => panic!("{other}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        acknowledged.push(job.id);
    }
    let mut found: Vec<VideoId> = store.unfinished().await.unwrap().iter().map(|job| job.id).collect();
    found.sort();
    assert_eq!(found, acknowledged);
    println!("{JOBS} acknowledged, {refused} refused meanwhile");
}

#[tokio::test]
async fn a_request_with_the_character_that_postgresql_cannot_hold_is_found_like_any_other() {
    let (_database, store) = history::postgres().await;
    let mut job = sample::job(1, 1000);
    job.request.metadata.insert("name".to_owned(), "a\0\\u0000b".to_owned());
    store.admit(admission(&job)).await.unwrap();
    let scope = crate::domain::key::ProjectScope { organization: job.organization, project: job.project };
    let pair = ("name".to_owned(), "a\0\\u0000b".to_owned());
    let filter =
        JobFilter { seed: Some(job.request.spec.seed), metadata: vec![pair], ..JobFilter::default() };
    let page = store.jobs(scope, JobQuery { filter, limit: 1, ..JobQuery::default() }).await.unwrap();
    assert_eq!(page.jobs, [job]);
}

#[tokio::test]
async fn the_database_refuses_to_change_or_delete_an_entry_of_the_audit_log() {
    let (database, store) = history::postgres().await;
    store.admit(admission(&sample::job(1, 1000))).await.unwrap();
    let tampered = [
        "update audit set record = '{}'",
        "delete from audit",
        "truncate audit",
        "update audit_heads set seal = ''",
        "delete from audit_heads",
        "truncate audit_heads",
    ];
    for sql in tampered {
        let tried = format!(
            "do $$ begin {sql}; raise 'done'; exception when others then
             if sqlerrm <> 'the audit log only grows' then raise; end if; end $$"
        );
        database.statement(&tried);
    }
}

/// Both sets of migrations end with the same tables and columns.
#[tokio::test]
async fn both_engines_keep_the_same_columns() {
    let (database, _store) = history::postgres().await;
    let (folder, _sqlite) = history::sqlite().await;
    let file = sqlx::sqlite::SqlitePoolOptions::new()
        .connect_with(sqlx::sqlite::SqliteConnectOptions::new().filename(folder.path().join("store.db")))
        .await
        .unwrap();
    let sql = "select m.name || '.' || c.name from sqlite_master m join pragma_table_info(m.name) c
               where m.type = 'table' and m.name not like 'sqlite%' and m.name not like '\\_sqlx%' escape '\\'
               order by 1";
    let of_sqlite: Vec<String> = sqlx::query_scalar(sql).fetch_all(&file).await.unwrap();
    let of_postgres = database.statement(
        "select table_name || '.' || column_name from information_schema.columns
         where table_schema = 'public' and table_name not in ('server', 'writers', '_sqlx_migrations')
         order by (table_name || '.' || column_name) collate \"C\"",
    );
    assert!(of_sqlite.len() > 50);
    assert_eq!(of_postgres.lines().collect::<Vec<_>>(), of_sqlite);
}
