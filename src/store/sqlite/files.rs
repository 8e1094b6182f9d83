//! Files in SQL.

use sqlx::{QueryBuilder, Sqlite as Dialect, SqliteConnection};

use super::Sqlite;
use super::conditions::{behind, page_by_id};
use super::garbage::{discard, named};
use super::rows::{all, json, to_json, unavailable};
use crate::domain::clock::UnixMillis;
use crate::domain::file::StoredFile;
use crate::domain::id::FileId;
use crate::domain::key::ProjectScope;
use crate::store::query::cut;
use crate::store::{FilePage, FileQuery, FileStore, Garbage, Left, Pending, Reach, StoreError};

impl FileStore for Sqlite {
    fn save_file(&self, file: StoredFile) -> Pending<'_, ()> {
        Box::pin(self.writer.write(move |connection| Box::pin(save(connection, file))))
    }

    fn file(&self, reach: Reach, file: FileId) -> Pending<'_, Option<StoredFile>> {
        Box::pin(async move {
            let row = sqlx::query("select record from files where id = ?")
                .bind(file.to_string())
                .fetch_optional(&self.readers)
                .await
                .map_err(unavailable)?;
            let file: Option<StoredFile> = row.as_ref().map(|row| json(row, "record")).transpose()?;
            Ok(file.filter(|file| reach.covers(file.scope.project)))
        })
    }

    fn files(&self, scope: ProjectScope, query: FileQuery) -> Pending<'_, FilePage> {
        Box::pin(async move {
            let mut connection = self.readers.acquire().await.map_err(unavailable)?;
            page(&mut connection, scope, &query).await
        })
    }

    fn expired_files(&self, now: UnixMillis, limit: u32) -> Pending<'_, Vec<StoredFile>> {
        Box::pin(async move {
            let rows =
                sqlx::query("select record from files where expires_at <= ? order by expires_at, id limit ?")
                    .bind(now.0 as i64)
                    .bind(limit)
                    .fetch_all(&self.readers)
                    .await
                    .map_err(unavailable)?;
            all(&rows, |row| json(row, "record"))
        })
    }

    fn delete_file(&self, scope: ProjectScope, file: FileId, at: UnixMillis) -> Pending<'_, Garbage> {
        Box::pin(self.writer.run(move |connection| Box::pin(delete(connection, scope, file, at))))
    }
}

async fn save(connection: &mut SqliteConnection, file: StoredFile) -> Result<(), StoreError> {
    let record = to_json(&file)?;
    named(connection, Left::File { file: file.id }).await?;
    sqlx::query("insert or replace into files values (?, ?, ?, ?, ?, ?)")
        .bind(file.id.to_string())
        .bind(file.scope.organization.to_string())
        .bind(file.scope.project.to_string())
        .bind(file.purpose.as_str())
        .bind(file.expires_at.0 as i64)
        .bind(record)
        .execute(connection)
        .await
        .map_err(unavailable)?;
    Ok(())
}

async fn page(
    connection: &mut SqliteConnection,
    scope: ProjectScope,
    query: &FileQuery,
) -> Result<FilePage, StoreError> {
    if let Some(after) = query.after
        && !was_of_project(connection, scope, after).await?
    {
        return Err(StoreError::NotFound);
    }
    let mut sql = QueryBuilder::<Dialect>::new("select record from files where project = ");
    sql.push_bind(scope.project.to_string());
    sql.push(" and expires_at > ").push_bind(query.now.0 as i64);
    if let Some(purpose) = query.purpose {
        sql.push(" and purpose = ").push_bind(purpose.as_str());
    }
    behind(&mut sql, query.order, query.after);
    page_by_id(&mut sql, query.order, query.limit);
    let rows = sql.build().fetch_all(connection).await.map_err(unavailable)?;
    let (files, has_more) = cut(all(&rows, |row| json(row, "record"))?, query.limit);
    Ok(FilePage { files, has_more })
}

async fn was_of_project(
    connection: &mut SqliteConnection,
    scope: ProjectScope,
    file: FileId,
) -> Result<bool, StoreError> {
    let known: Option<i64> = sqlx::query_scalar(
        "select 1 from files where id = ?1 and project = ?2
         union all select 1 from deleted where id = ?1 and project = ?2",
    )
    .bind(file.to_string())
    .bind(scope.project.to_string())
    .fetch_optional(connection)
    .await
    .map_err(unavailable)?;
    Ok(known.is_some())
}

async fn delete(
    connection: &mut SqliteConnection,
    scope: ProjectScope,
    file: FileId,
    at: UnixMillis,
) -> Result<Garbage, StoreError> {
    let deleted = sqlx::query("delete from files where id = ? and project = ?")
        .bind(file.to_string())
        .bind(scope.project.to_string())
        .execute(&mut *connection)
        .await
        .map_err(unavailable)?;
    if deleted.rows_affected() == 0 {
        return Err(StoreError::NotFound);
    }
    sqlx::query("insert or ignore into deleted values (?, ?, ?)")
        .bind(file.to_string())
        .bind(scope.project.to_string())
        .bind(at.0 as i64)
        .execute(&mut *connection)
        .await
        .map_err(unavailable)?;
    let garbage = Garbage { due: at, scope, left: Left::File { file } };
    discard(connection, &garbage).await?;
    Ok(garbage)
}
