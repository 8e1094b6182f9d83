//! Garbage in SQL, and the trimming of old rows.

use super::SqlStore;
use super::engine::{Connection, Row};
use super::rows::{all, millis, parsed};
use crate::domain::clock::UnixMillis;
use crate::domain::key::ProjectScope;
use crate::store::{Garbage, GarbageStore, Left, Pending, StoreError, Trim};

impl GarbageStore for SqlStore {
    fn reserve(&self, garbage: Garbage) -> Pending<'_, ()> {
        Box::pin(
            self.writer.run(move |connection| Box::pin(async move { discard(connection, &garbage).await })),
        )
    }

    fn garbage(&self, now: UnixMillis, limit: u32) -> Pending<'_, Vec<Garbage>> {
        Box::pin(async move {
            let sql = "select * from garbage where due <= $1
                       order by due, organization, project, kind, id, epoch limit $2";
            let mut reader = self.readers.acquire().await?;
            all(&reader.query(sql).bind(now.0 as i64).bind(i64::from(limit)).all().await?, read)
        })
    }

    fn forget_garbage(&self, garbage: Garbage) -> Pending<'_, ()> {
        Box::pin(self.writer.run(move |connection| {
            Box::pin(async move {
                let (kind, id, epoch) = columns(garbage.left);
                connection
                    .query("delete from garbage where due = $1 and kind = $2 and id = $3 and epoch = $4")
                    .bind(garbage.due.0 as i64)
                    .bind(kind)
                    .bind(id)
                    .bind(epoch)
                    .run()
                    .await?;
                Ok(())
            })
        }))
    }

    fn trim(&self, trim: Trim) -> Pending<'_, ()> {
        Box::pin(self.writer.run(move |connection| Box::pin(forget(connection, trim))))
    }
}

/// Notes garbage; the same garbage twice is noted once.
pub(super) async fn discard(connection: &mut Connection, garbage: &Garbage) -> Result<(), StoreError> {
    let (kind, id, epoch) = columns(garbage.left);
    connection
        .query(
            "insert into garbage (due, organization, project, kind, id, epoch) \
             values ($1, $2, $3, $4, $5, $6) \
             on conflict do nothing",
        )
        .bind(garbage.due.0 as i64)
        .bind(garbage.scope.organization.to_string())
        .bind(garbage.scope.project.to_string())
        .bind(kind)
        .bind(id)
        .bind(epoch)
        .run()
        .await?;
    Ok(())
}

/// A record names the bytes from now on.
pub(super) async fn named(connection: &mut Connection, left: Left) -> Result<(), StoreError> {
    let (kind, id, epoch) = columns(left);
    connection
        .query("delete from garbage where kind = $1 and id = $2 and epoch = $3")
        .bind(kind)
        .bind(id)
        .bind(epoch)
        .run()
        .await?;
    Ok(())
}

async fn forget(connection: &mut Connection, trim: Trim) -> Result<(), StoreError> {
    let old = [
        ("delete from idempotency_keys where used_at < $1", trim.idempotency_keys),
        ("delete from answers where answered_at < $1", trim.idempotency_keys),
        ("delete from events where settled = 1 and at < $1", trim.events),
        ("delete from deleted where deleted_at < $1", trim.deleted),
    ];
    for (sql, before) in old {
        connection.query(sql).bind(before.0 as i64).run().await?;
    }
    Ok(())
}

/// Kind, id and epoch; kinds sort as the variants do.
fn columns(left: Left) -> (&'static str, String, i64) {
    match left {
        Left::File { file } => ("file", file.to_string(), 0),
        Left::Input { video } => ("input", video.to_string(), 0),
        Left::Results { video, epoch } => ("results", video.to_string(), i64::from(epoch)),
    }
}

fn read(row: &Row) -> Result<Garbage, StoreError> {
    let kind: &str = row.get("kind")?;
    let epoch: i64 = row.get("epoch")?;
    let left = match kind {
        "file" => Left::File { file: parsed(row, "id")? },
        "input" => Left::Input { video: parsed(row, "id")? },
        "results" => Left::Results { video: parsed(row, "id")?, epoch: epoch as u32 },
        other => return Err(StoreError::Corrupt(format!("garbage of kind {other}"))),
    };
    let scope = ProjectScope { organization: parsed(row, "organization")?, project: parsed(row, "project")? };
    Ok(Garbage { due: millis(row, "due")?, scope, left })
}
