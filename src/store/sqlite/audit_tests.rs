//! What somebody does to the file of the database behind the server's back, and what is found of it.

use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqliteConnection};

use super::{open, open_beside};
use crate::domain::audit::{Actor, AuditEntry, AuditKind};
use crate::domain::audit_chain::{AuditChain, ChainFault, ChainHead};
use crate::domain::clock::UnixMillis;
use crate::domain::id::{EventId, ID_RANDOM_BYTES};
use crate::domain::sample;
use crate::store::{AuditStore, SqlStore, follow_chains};

fn entry(number: u64) -> AuditEntry {
    let scope = sample::scope(1);
    AuditEntry {
        id: EventId::new(number, [0; ID_RANDOM_BYTES]),
        organization: Some(scope.organization),
        project: Some(scope.project),
        kind: AuditKind::ApiKeyCreated,
        actor: Actor::Shell,
        subject: format!("key {number}"),
        detail: None,
        at: UnixMillis(number),
    }
}

/// A store with a chain of five.
async fn five(path: &Path) -> SqlStore {
    let store = open(path).await.unwrap();
    for number in 1..6 {
        store.record(entry(number)).await.unwrap();
    }
    store
}

async fn raw(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).connect().await.unwrap()
}

async fn fault(store: &SqlStore, known: &[ChainHead]) -> Option<ChainFault> {
    let mut chains = follow_chains(store, known).await.unwrap();
    assert_eq!(chains.len(), 1);
    chains.remove(0).fault
}

#[tokio::test]
async fn the_database_refuses_to_change_or_delete_an_entry() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = five(&path).await;
    let mut raw = raw(&path).await;
    for sql in [
        "update audit set record = '{}' where number = 3",
        "update audit set number = 9 where number = 3",
        "delete from audit where number = 5",
        "update audit_heads set number = 4",
        "update audit_heads set seal = ''",
        "delete from audit_heads",
    ] {
        let refused = sqlx::query(sql).execute(&mut raw).await.unwrap_err().to_string();
        assert!(refused.contains("the audit log only grows"), "{sql}: {refused}");
    }
    assert_eq!(fault(&store, &[]).await, None);
}

#[tokio::test]
async fn whatever_is_done_to_the_log_without_the_triggers_is_found() {
    use ChainFault::{Changed, CutOff, Misfiled, Missing};
    let moved = "update audit set number = 0 where number = 2;
                 update audit set number = 2 where number = 4;
                 update audit set number = 4 where number = 0";
    let cases = [
        ("update audit set record = replace(record, 'key 3', 'key 4') where number = 3", Changed(3)),
        ("update audit set seal = (select seal from audit where number = 1) where number = 3", Changed(3)),
        ("update audit set kind = 'project.created' where number = 3", Misfiled(3)),
        ("update audit set at = 7 where number = 3", Misfiled(3)),
        ("update audit set organization = null where number = 3", Misfiled(3)),
        ("delete from audit where number = 3", Missing(3)),
        ("delete from audit where number = 1", Missing(1)),
        (moved, Changed(2)),
        ("delete from audit where number = 5", CutOff { written: 5, last: 4 }),
        ("delete from audit", CutOff { written: 5, last: 0 }),
        ("delete from audit_heads", CutOff { written: 0, last: 5 }),
    ];
    for (spoil, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let store = five(&path).await;
        let mut raw = raw(&path).await;
        unlock(&mut raw).await;
        sqlx::raw_sql(spoil).execute(&mut raw).await.unwrap();
        assert_eq!(fault(&store, &[]).await, Some(expected), "{spoil}");
    }
}

#[tokio::test]
async fn a_log_that_was_written_anew_is_found_by_a_head_that_was_kept_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = five(&path).await;
    let known = store.audit_heads().await.unwrap();
    store.record(entry(6)).await.unwrap();
    assert_eq!(fault(&store, &known).await, None, "it only grew");

    let mut raw = raw(&path).await;
    unlock(&mut raw).await;
    sqlx::raw_sql("delete from audit; delete from audit_heads").execute(&mut raw).await.unwrap();
    let cut = ChainFault::CutOff { written: 5, last: 0 };
    assert_eq!(fault(&store, &known).await, Some(cut), "nothing in the database tells of it");
    for number in 11..17 {
        store.record(entry(number)).await.unwrap();
    }
    assert_eq!(fault(&store, &[]).await, None, "it holds together by itself");
    assert_eq!(fault(&store, &known).await, Some(ChainFault::Rewritten(5)));
}

#[tokio::test]
async fn entries_from_before_there_were_chains_are_chained_in_their_order() {
    const BEFORE_CHAINS: i64 = 4;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let mut old =
        SqliteConnectOptions::new().filename(&path).create_if_missing(true).connect().await.unwrap();
    let mut migrator = sqlx::migrate!("migrations/sqlite");
    migrator.migrations.to_mut().retain(|migration| migration.version <= BEFORE_CHAINS);
    migrator.run(&mut old).await.unwrap();
    for number in [3, 1, 2] {
        let entry = entry(number);
        sqlx::query("insert into audit values (?, ?, ?, ?, ?, ?)")
            .bind(entry.id.to_string())
            .bind(entry.organization.map(|organization| organization.to_string()))
            .bind(entry.project.map(|project| project.to_string()))
            .bind(entry.kind.as_str())
            .bind(entry.at.0 as i64)
            .bind(serde_json::to_string(&entry).unwrap())
            .execute(&mut old)
            .await
            .unwrap();
    }
    drop(old);
    for _ in 0..2 {
        let store = open_beside(&path).await.unwrap();
        assert_eq!(fault(&store, &[]).await, None);
        let rows = store.audit_rows(AuditChain::of(&entry(1)), 0, 10).await.unwrap();
        let records = rows.iter().map(|row| serde_json::from_str(&row.record).unwrap());
        assert_eq!(records.collect::<Vec<AuditEntry>>(), [1, 2, 3].map(entry));
    }
}

/// Takes away what keeps the log as it is.
async fn unlock(raw: &mut SqliteConnection) {
    let triggers: Vec<String> = sqlx::query_scalar("select name from sqlite_master where type = 'trigger'")
        .fetch_all(&mut *raw)
        .await
        .unwrap();
    assert!(!triggers.is_empty());
    for trigger in triggers {
        let sql = sqlx::AssertSqlSafe(format!("drop trigger {trigger}"));
        sqlx::raw_sql(sql).execute(&mut *raw).await.unwrap();
    }
}
