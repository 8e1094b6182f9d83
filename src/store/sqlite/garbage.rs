//! Garbage in SQL, and the trimming of old rows.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::Sqlite;
use super::rows::{all, millis, parsed, unavailable};
use crate::domain::clock::UnixMillis;
use crate::domain::key::ProjectScope;
use crate::store::{Garbage, GarbageStore, Left, Pending, StoreError, Trim};

impl GarbageStore for Sqlite {
    fn reserve(&self, garbage: Garbage) -> Pending<'_, ()> {
        Box::pin(
            self.writer.run(move |connection| Box::pin(async move { discard(connection, &garbage).await })),
        )
    }

    fn garbage(&self, now: UnixMillis, limit: u32) -> Pending<'_, Vec<Garbage>> {
        Box::pin(async move {
            let sql = "select * from garbage where due <= ?
                       order by due, organization, project, kind, id, epoch limit ?";
            let rows = sqlx::query(sql).bind(now.0 as i64).bind(limit).fetch_all(&self.readers).await;
            all(&rows.map_err(unavailable)?, read)
        })
    }

    fn forget_garbage(&self, garbage: Garbage) -> Pending<'_, ()> {
        Box::pin(self.writer.run(move |connection| {
            Box::pin(async move {
                let (kind, id, epoch) = columns(garbage.left);
                sqlx::query("delete from garbage where due = ? and kind = ? and id = ? and epoch = ?")
                    .bind(garbage.due.0 as i64)
                    .bind(kind)
                    .bind(id)
                    .bind(epoch)
                    .execute(connection)
                    .await
                    .map_err(unavailable)?;
                Ok(())
            })
        }))
    }

    fn trim(&self, trim: Trim) -> Pending<'_, ()> {
        Box::pin(self.writer.run(move |connection| Box::pin(forget(connection, trim))))
    }
}

/// Notes garbage; the same garbage twice is noted once.
pub(super) async fn discard(connection: &mut SqliteConnection, garbage: &Garbage) -> Result<(), StoreError> {
    let (kind, id, epoch) = columns(garbage.left);
    sqlx::query("insert or ignore into garbage values (?, ?, ?, ?, ?, ?)")
        .bind(garbage.due.0 as i64)
        .bind(garbage.scope.organization.to_string())
        .bind(garbage.scope.project.to_string())
        .bind(kind)
        .bind(id)
        .bind(epoch)
        .execute(connection)
        .await
        .map_err(unavailable)?;
    Ok(())
}

/// A record names the bytes from now on.
pub(super) async fn named(connection: &mut SqliteConnection, left: Left) -> Result<(), StoreError> {
    let (kind, id, epoch) = columns(left);
    sqlx::query("delete from garbage where kind = ? and id = ? and epoch = ?")
        .bind(kind)
        .bind(id)
        .bind(epoch)
        .execute(connection)
        .await
        .map_err(unavailable)?;
    Ok(())
}

async fn forget(connection: &mut SqliteConnection, trim: Trim) -> Result<(), StoreError> {
    let old = [
        ("delete from idempotency_keys where used_at < ?", trim.idempotency_keys),
        ("delete from answers where answered_at < ?", trim.idempotency_keys),
        ("delete from events where settled = 1 and at < ?", trim.events),
        ("delete from deleted where deleted_at < ?", trim.deleted),
    ];
    for (sql, before) in old {
        sqlx::query(sql).bind(before.0 as i64).execute(&mut *connection).await.map_err(unavailable)?;
    }
    Ok(())
}

/// Kind, id and epoch; kinds sort as the variants do.
fn columns(left: Left) -> (&'static str, String, u32) {
    match left {
        Left::File { file } => ("file", file.to_string(), 0),
        Left::Input { video } => ("input", video.to_string(), 0),
        Left::Results { video, epoch } => ("results", video.to_string(), epoch),
    }
}

fn read(row: &SqliteRow) -> Result<Garbage, StoreError> {
    let kind: &str = row.try_get("kind").map_err(unavailable)?;
    let epoch: i64 = row.try_get("epoch").map_err(unavailable)?;
    let left = match kind {
        "file" => Left::File { file: parsed(row, "id")? },
        "input" => Left::Input { video: parsed(row, "id")? },
        "results" => Left::Results { video: parsed(row, "id")?, epoch: epoch as u32 },
        other => return Err(StoreError::Corrupt(format!("garbage of kind {other}"))),
    };
    let scope = ProjectScope { organization: parsed(row, "organization")?, project: parsed(row, "project")? };
    Ok(Garbage { due: millis(row, "due")?, scope, left })
}
