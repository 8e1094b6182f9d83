//! Files in SQL.

use super::SqlStore;
use super::conditions::Conditions;
use super::engine::Connection;
use super::garbage::{discard, named};
use super::rows::{all, json, to_json};
use crate::domain::clock::UnixMillis;
use crate::domain::file::StoredFile;
use crate::domain::id::FileId;
use crate::domain::key::ProjectScope;
use crate::store::query::cut;
use crate::store::{FilePage, FileQuery, FileStore, Garbage, Left, Pending, Reach, StoreError};

impl FileStore for SqlStore {
    fn save_file(&self, file: StoredFile) -> Pending<'_, ()> {
        Box::pin(self.writer.write(move |connection| Box::pin(save(connection, file))))
    }

    fn file(&self, reach: Reach, file: FileId) -> Pending<'_, Option<StoredFile>> {
        Box::pin(async move {
            let mut reader = self.readers.acquire().await?;
            let row = reader
                .query("select record from files where id = $1")
                .bind(file.to_string())
                .optional()
                .await?;
            let file: Option<StoredFile> = row.as_ref().map(|row| json(row, "record")).transpose()?;
            Ok(file.filter(|file| reach.covers(file.scope.project)))
        })
    }

    fn files(&self, scope: ProjectScope, query: FileQuery) -> Pending<'_, FilePage> {
        Box::pin(async move {
            let mut connection = self.readers.acquire().await?;
            page(&mut connection, scope, &query).await
        })
    }

    fn expired_files(&self, now: UnixMillis, limit: u32) -> Pending<'_, Vec<StoredFile>> {
        Box::pin(async move {
            let mut reader = self.readers.acquire().await?;
            let rows = reader
                .query("select record from files where expires_at <= $1 order by expires_at, id limit $2")
                .bind(now.0 as i64)
                .bind(i64::from(limit))
                .all()
                .await?;
            all(&rows, |row| json(row, "record"))
        })
    }

    fn delete_file(&self, scope: ProjectScope, file: FileId, at: UnixMillis) -> Pending<'_, Garbage> {
        Box::pin(self.writer.run(move |connection| Box::pin(delete(connection, scope, file, at))))
    }
}

async fn save(connection: &mut Connection, file: StoredFile) -> Result<(), StoreError> {
    let record = to_json(&file)?;
    named(connection, Left::File { file: file.id }).await?;
    connection
        .query(
            "insert into files (id, organization, project, purpose, expires_at, record) \
             values ($1, $2, $3, $4, $5, $6) \
             on conflict (id) do update set organization = excluded.organization, project = excluded.project, \
             purpose = excluded.purpose, expires_at = excluded.expires_at, record = excluded.record",
        )
        .bind(file.id.to_string())
        .bind(file.scope.organization.to_string())
        .bind(file.scope.project.to_string())
        .bind(file.purpose.as_str())
        .bind(file.expires_at.0 as i64)
        .bind(record)
        .run()
        .await?;
    Ok(())
}

async fn page(
    connection: &mut Connection,
    scope: ProjectScope,
    query: &FileQuery,
) -> Result<FilePage, StoreError> {
    if let Some(after) = query.after
        && !was_of_project(connection, scope, after).await?
    {
        return Err(StoreError::NotFound);
    }
    let mut sql = Conditions::new("select record from files where project = ");
    sql.value(scope.project.to_string());
    sql.push(" and expires_at > ").value(query.now.0 as i64);
    if let Some(purpose) = query.purpose {
        sql.push(" and purpose = ").value(purpose.as_str());
    }
    sql.behind(query.order, query.after);
    sql.page_by_id(query.order, query.limit);
    let rows = connection.conditional(sql).all().await?;
    let (files, has_more) = cut(all(&rows, |row| json(row, "record"))?, query.limit);
    Ok(FilePage { files, has_more })
}

async fn was_of_project(
    connection: &mut Connection,
    scope: ProjectScope,
    file: FileId,
) -> Result<bool, StoreError> {
    let known = connection
        .query(
            "select 1 from files where id = $1 and project = $2
         union all select 1 from deleted where id = $1 and project = $2",
        )
        .bind(file.to_string())
        .bind(scope.project.to_string())
        .optional()
        .await?;
    Ok(known.is_some())
}

async fn delete(
    connection: &mut Connection,
    scope: ProjectScope,
    file: FileId,
    at: UnixMillis,
) -> Result<Garbage, StoreError> {
    let deleted = connection
        .query("delete from files where id = $1 and project = $2")
        .bind(file.to_string())
        .bind(scope.project.to_string())
        .run()
        .await?;
    if deleted == 0 {
        return Err(StoreError::NotFound);
    }
    connection
        .query("insert into deleted (id, project, deleted_at) values ($1, $2, $3) on conflict do nothing")
        .bind(file.to_string())
        .bind(scope.project.to_string())
        .bind(at.0 as i64)
        .run()
        .await?;
    let garbage = Garbage { due: at, scope, left: Left::File { file } };
    discard(connection, &garbage).await?;
    Ok(garbage)
}
