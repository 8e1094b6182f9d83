//! A store as it was before anything was counted: the migration counts what it finds.

use sqlx::sqlite::SqlitePoolOptions;

use crate::domain::clock::UnixMillis;
use crate::domain::key::{KeyOwner, KeyRecord};
use crate::domain::sample;
use crate::store::sql::{Connection, tally};
use crate::store::{Owner, Tally};

#[tokio::test]
async fn an_older_store_is_counted_when_it_is_opened() {
    let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap();
    let mut connection = pool.acquire().await.unwrap();
    for sql in [
        include_str!("../../../migrations/sqlite/0001_first.sql"),
        include_str!("../../../migrations/sqlite/0002_webhooks.sql"),
    ] {
        sqlx::raw_sql(sql).execute(&mut *connection).await.unwrap();
    }
    let (first, second) = (sample::job(1, 1000), sample::job(1, 2000));
    for (job, state) in [(&first, "queued"), (&second, "in_progress")] {
        let sql = "insert into jobs (id, organization, project, key_id, state, model, operation, created_at, request, status)
                   values (?, ?, ?, '', ?, 'wan-tiny', '', 0, '', '')";
        sqlx::query(sql)
            .bind(job.id.to_string())
            .bind(job.organization.to_string())
            .bind(job.project.to_string())
            .bind(state)
            .execute(&mut *connection)
            .await
            .unwrap();
    }
    sqlx::query("insert into usage values ('v', ?, ?, 3000, ?)")
        .bind(first.organization.to_string())
        .bind(first.project.to_string())
        .bind(r#"{"model": "wan-tiny", "usage": {"gpu_seconds": 1.2345}}"#)
        .execute(&mut *connection)
        .await
        .unwrap();
    let record = key(KeyOwner::Admin { organization: first.organization });
    sqlx::query("insert into keys values ('k', 'h', ?)")
        .bind(serde_json::to_string(&record).unwrap())
        .execute(&mut *connection)
        .await
        .unwrap();
    let migration = include_str!("../../../migrations/sqlite/0003_tenants.sql");
    sqlx::raw_sql(migration).execute(&mut *connection).await.unwrap();
    let owner: String =
        sqlx::query_scalar("select owner from keys").fetch_one(&mut *connection).await.unwrap();
    assert_eq!(owner, first.organization.to_string());
    let mut connection = Connection::Sqlite(connection);
    let found = tally(&mut connection, Owner::Project(first.project), UnixMillis(3000)).await.unwrap();
    let expected = Tally { active: 2, running: 1, reserved_ms: 0, day_ms: 1235, month_ms: 1235 };
    assert_eq!(found, expected);
}

fn key(owner: KeyOwner) -> KeyRecord {
    KeyRecord {
        id: sample::job(1, 1).key,
        handle: String::new(),
        name: String::new(),
        owner,
        scopes: Vec::new(),
        digest: String::new(),
        pepper_version: 1,
        redacted: String::new(),
        created_at: UnixMillis(1),
        expires_at: None,
        overlap_ends_at: None,
        revoked_at: None,
        last_used_at: None,
    }
}
