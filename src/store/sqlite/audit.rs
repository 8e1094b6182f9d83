//! The audit log, and answers that may be asked for again, in SQL.

use sqlx::{QueryBuilder, Sqlite as Dialect, SqliteConnection};

use super::Sqlite;
use super::conditions::{behind, one_of, page_by_id};
use super::rows::{all, json, to_json, unavailable};
use crate::domain::audit::AuditEntry;
use crate::domain::clock::UnixMillis;
use crate::domain::id::{EventId, OrganizationId};
use crate::store::query::cut;
use crate::store::{
    Answer, AnswerKey, AnswerStore, AuditPage, AuditQuery, AuditStore, HeldWrites, Pending, StoreError,
};

impl AuditStore for Sqlite {
    fn record(&self, entry: AuditEntry) -> Pending<'_, ()> {
        Box::pin(self.writer.write(move |connection| Box::pin(write(connection, entry))))
    }

    fn audit(&self, organization: OrganizationId, query: AuditQuery) -> Pending<'_, AuditPage> {
        Box::pin(async move {
            let mut connection = self.readers.acquire().await.map_err(unavailable)?;
            page(&mut connection, organization, &query).await
        })
    }
}

async fn write(connection: &mut SqliteConnection, entry: AuditEntry) -> Result<(), StoreError> {
    let written = sqlx::query(
        "insert into audit (id, organization, project, kind, at, record) values (?, ?, ?, ?, ?, ?)
         on conflict (id) do nothing",
    )
    .bind(entry.id.to_string())
    .bind(entry.organization.to_string())
    .bind(entry.project.map(|project| project.to_string()))
    .bind(entry.kind.as_str())
    .bind(entry.at.0 as i64)
    .bind(to_json(&entry)?)
    .execute(connection)
    .await
    .map_err(unavailable)?;
    if written.rows_affected() == 0 { Err(StoreError::Exists) } else { Ok(()) }
}

async fn page(
    connection: &mut SqliteConnection,
    organization: OrganizationId,
    query: &AuditQuery,
) -> Result<AuditPage, StoreError> {
    if let Some(after) = query.after {
        check(connection, organization, after).await?;
    }
    let mut sql = QueryBuilder::<Dialect>::new("select record from audit where organization = ");
    sql.push_bind(organization.to_string());
    narrow(&mut sql, query);
    page_by_id(&mut sql, query.order, query.limit);
    let rows = sql.build().fetch_all(connection).await.map_err(unavailable)?;
    let (entries, has_more) = cut(all(&rows, |row| json(row, "record"))?, query.limit);
    Ok(AuditPage { entries, has_more })
}

fn narrow(sql: &mut QueryBuilder<Dialect>, query: &AuditQuery) {
    behind(sql, query.order, query.after);
    if !query.kinds.is_empty() {
        one_of(sql, "kind", query.kinds.iter().map(|kind| kind.as_str().to_owned()));
    }
    if !query.projects.is_empty() {
        one_of(sql, "project", query.projects.iter().map(ToString::to_string));
    }
    if let Some(from) = query.from {
        sql.push(" and at >= ").push_bind(from.0 as i64);
    }
    if let Some(to) = query.to {
        sql.push(" and at < ").push_bind(to.0 as i64);
    }
}

async fn check(
    connection: &mut SqliteConnection,
    organization: OrganizationId,
    after: EventId,
) -> Result<(), StoreError> {
    let known: Option<i64> = sqlx::query_scalar("select 1 from audit where id = ? and organization = ?")
        .bind(after.to_string())
        .bind(organization.to_string())
        .fetch_optional(connection)
        .await
        .map_err(unavailable)?;
    known.map(|_| ()).ok_or(StoreError::NotFound)
}

impl AnswerStore for Sqlite {
    fn answer(&self, to: AnswerKey, not_before: UnixMillis) -> Pending<'_, Option<Answer>> {
        Box::pin(async move {
            let found: Option<(String, i64, String)> = sqlx::query_as(
                "select fingerprint, answered_at, sealed from answers
                 where owner = ? and route = ? and key = ? and answered_at >= ?",
            )
            .bind(to.owner)
            .bind(to.route)
            .bind(to.key)
            .bind(not_before.0 as i64)
            .fetch_optional(&self.readers)
            .await
            .map_err(unavailable)?;
            Ok(found.map(|(fingerprint, at, sealed)| Answer {
                fingerprint,
                answered_at: UnixMillis(at as u64),
                sealed,
            }))
        })
    }

    fn keep_answer(&self, to: AnswerKey, answer: Answer, held: HeldWrites) -> Pending<'_, ()> {
        Box::pin(self.writer.write_all(held, move |connection| {
            Box::pin(async move {
                sqlx::query("insert or replace into answers values (?, ?, ?, ?, ?, ?)")
                    .bind(to.owner)
                    .bind(to.route)
                    .bind(to.key)
                    .bind(answer.fingerprint)
                    .bind(answer.answered_at.0 as i64)
                    .bind(answer.sealed)
                    .execute(connection)
                    .await
                    .map_err(unavailable)?;
                Ok(())
            })
        }))
    }
}
