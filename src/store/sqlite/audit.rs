//! The audit log in SQL. The end of each chain is noted beside it, so that one that was cut off is found.

use sqlx::sqlite::SqliteRow;
use sqlx::{Connection, QueryBuilder, Row, Sqlite as Dialect, SqliteConnection};

use super::Sqlite;
use super::conditions::{behind, one_of, page_by_id};
use super::rows::{all, from_json, json, parsed, to_json, unavailable};
use crate::domain::audit::{AuditEntry, AuditKind};
use crate::domain::audit_chain::{AuditChain, AuditColumns, ChainHead, ChainRow};
use crate::domain::id::{EventId, OrganizationId};
use crate::store::query::cut;
use crate::store::{AuditPage, AuditQuery, AuditStore, Pending, StoreError};

impl AuditStore for Sqlite {
    fn record(&self, entry: AuditEntry) -> Pending<'_, ()> {
        Box::pin(
            self.writer.write(move |connection| Box::pin(async move { append(connection, &entry).await })),
        )
    }

    fn audit(&self, organization: Option<OrganizationId>, query: AuditQuery) -> Pending<'_, AuditPage> {
        Box::pin(async move {
            let mut connection = self.readers.acquire().await.map_err(unavailable)?;
            page(&mut connection, organization, &query).await
        })
    }

    fn audit_heads(&self) -> Pending<'_, Vec<ChainHead>> {
        Box::pin(async move {
            let sql = "select chain, number, seal from audit_heads
                       union all select distinct chain, 0, null from audit
                       where chain not in (select chain from audit_heads) order by chain";
            let rows = sqlx::query(sql).fetch_all(&self.readers).await.map_err(unavailable)?;
            all(&rows, head)
        })
    }

    fn audit_rows(&self, chain: AuditChain, after: u64, limit: u32) -> Pending<'_, Vec<ChainRow>> {
        Box::pin(async move {
            let rows =
                sqlx::query("select * from audit where chain = ? and number > ? order by number limit ?")
                    .bind(chain.to_string())
                    .bind(after as i64)
                    .bind(limit)
                    .fetch_all(&self.readers)
                    .await
                    .map_err(unavailable)?;
            all(&rows, chain_row)
        })
    }
}

/// Adds an entry to the end of its chain. Refused, it has written nothing.
pub(super) async fn append(connection: &mut SqliteConnection, entry: &AuditEntry) -> Result<(), StoreError> {
    append_record(connection, entry, &to_json(entry)?).await
}

async fn append_record(
    connection: &mut SqliteConnection,
    entry: &AuditEntry,
    record: &str,
) -> Result<(), StoreError> {
    let chain = AuditChain::of(entry);
    let before = sqlx::query("select chain, number, seal from audit_heads where chain = ?")
        .bind(chain.to_string())
        .fetch_optional(&mut *connection)
        .await
        .map_err(unavailable)?;
    let before = before.as_ref().map_or_else(|| Ok(ChainHead::start(chain)), head)?;
    let after = before.grown_by(record);
    let columns = AuditColumns::of(entry);
    let written = sqlx::query(
        "insert into audit (chain, number, id, organization, project, kind, at, record, seal)
         values (?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (id) do nothing",
    )
    .bind(chain.to_string())
    .bind(after.number as i64)
    .bind(columns.id)
    .bind(columns.organization)
    .bind(columns.project)
    .bind(columns.kind)
    .bind(columns.at as i64)
    .bind(record)
    .bind(after.seal.to_string())
    .execute(&mut *connection)
    .await
    .map_err(unavailable)?;
    if written.rows_affected() == 0 {
        return Err(StoreError::Exists);
    }
    sqlx::query(
        "insert into audit_heads (chain, number, seal) values (?, ?, ?)
         on conflict (chain) do update set number = excluded.number, seal = excluded.seal",
    )
    .bind(chain.to_string())
    .bind(after.number as i64)
    .bind(after.seal.to_string())
    .execute(connection)
    .await
    .map_err(unavailable)?;
    Ok(())
}

/// Chains the entries of a log from before there were chains, in one transaction.
pub(super) async fn chain_older(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let sql = "select 1 from sqlite_master where type = 'table' and name = 'audit_unchained'";
    let older: Option<i64> =
        sqlx::query_scalar(sql).fetch_optional(&mut *connection).await.map_err(unavailable)?;
    if older.is_none() {
        return Ok(());
    }
    let mut transaction = connection.begin_with("begin immediate").await.map_err(unavailable)?;
    let records: Vec<String> = sqlx::query_scalar("select record from audit_unchained order by id")
        .fetch_all(&mut *transaction)
        .await
        .map_err(unavailable)?;
    for record in records {
        append_record(&mut transaction, &from_json(&record)?, &record).await?;
    }
    sqlx::query("drop table audit_unchained").execute(&mut *transaction).await.map_err(unavailable)?;
    transaction.commit().await.map_err(unavailable)
}

fn head(row: &SqliteRow) -> Result<ChainHead, StoreError> {
    let chain = parsed(row, "chain")?;
    let number: i64 = row.try_get("number").map_err(unavailable)?;
    // Nothing is noted of a chain: its entries will be found to be too many.
    if number == 0 {
        return Ok(ChainHead::start(chain));
    }
    Ok(ChainHead { chain, number: number as u64, seal: parsed(row, "seal")? })
}

fn chain_row(row: &SqliteRow) -> Result<ChainRow, StoreError> {
    let integer = |column| row.try_get::<i64, _>(column).map(|number| number as u64).map_err(unavailable);
    let text = |column| row.try_get::<String, _>(column).map_err(unavailable);
    let optional = |column| row.try_get::<Option<String>, _>(column).map_err(unavailable);
    Ok(ChainRow {
        number: integer("number")?,
        seal: text("seal")?,
        record: text("record")?,
        columns: AuditColumns {
            id: text("id")?,
            organization: optional("organization")?,
            project: optional("project")?,
            kind: text("kind")?,
            at: integer("at")?,
        },
    })
}

/// Each kind has its own place in the index, in order of id: what is asked for is merged from as many short pages,
/// so that a few changes of keys are found among millions of jobs.
async fn page(
    connection: &mut SqliteConnection,
    organization: Option<OrganizationId>,
    query: &AuditQuery,
) -> Result<AuditPage, StoreError> {
    if let Some(after) = query.after {
        check(connection, organization, after).await?;
    }
    let kinds = if query.kinds.is_empty() { AuditKind::ALL } else { &query.kinds };
    let mut sql = QueryBuilder::<Dialect>::new("select record from (");
    for (place, kind) in kinds.iter().enumerate() {
        sql.push(if place == 0 { "select * from (" } else { " union all select * from (" });
        sql.push("select id, record from audit where organization is ");
        sql.push_bind(organization.map(|organization| organization.to_string()));
        sql.push(" and kind = ").push_bind(kind.as_str());
        narrow(&mut sql, query);
        page_by_id(&mut sql, query.order, query.limit);
        sql.push(")");
    }
    sql.push(")");
    page_by_id(&mut sql, query.order, query.limit);
    let rows = sql.build().fetch_all(connection).await.map_err(unavailable)?;
    let (entries, has_more) = cut(all(&rows, |row| json(row, "record"))?, query.limit);
    Ok(AuditPage { entries, has_more })
}

fn narrow(sql: &mut QueryBuilder<Dialect>, query: &AuditQuery) {
    behind(sql, query.order, query.after);
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
    organization: Option<OrganizationId>,
    after: EventId,
) -> Result<(), StoreError> {
    let known: Option<i64> = sqlx::query_scalar("select 1 from audit where id = ? and organization is ?")
        .bind(after.to_string())
        .bind(organization.map(|organization| organization.to_string()))
        .fetch_optional(connection)
        .await
        .map_err(unavailable)?;
    known.map(|_| ()).ok_or(StoreError::NotFound)
}
