//! The audit log in SQL. The end of each chain is noted beside it, so that one that was cut off is found.

use super::SqlStore;
use super::conditions::Conditions;
use super::engine::{Connection, Row};
use super::rows::{all, json, parsed, to_json};
use crate::domain::audit::{AuditEntry, AuditKind};
use crate::domain::audit_chain::{AuditChain, AuditColumns, ChainHead, ChainRow};
use crate::domain::id::{EventId, OrganizationId};
use crate::store::query::cut;
use crate::store::{AuditPage, AuditQuery, AuditStore, Pending, StoreError};

impl AuditStore for SqlStore {
    fn record(&self, entry: AuditEntry) -> Pending<'_, ()> {
        Box::pin(
            self.writer.write(move |connection| Box::pin(async move { append(connection, &entry).await })),
        )
    }

    fn audit(&self, organization: Option<OrganizationId>, query: AuditQuery) -> Pending<'_, AuditPage> {
        Box::pin(async move {
            let mut connection = self.readers.acquire().await?;
            page(&mut connection, organization, &query).await
        })
    }

    fn audit_heads(&self) -> Pending<'_, Vec<ChainHead>> {
        Box::pin(async move {
            let mut reader = self.readers.acquire().await?;
            let sql = "select chain, number, seal from audit_heads
                       union all select distinct chain, 0, null from audit
                       where chain not in (select chain from audit_heads) order by chain";
            let rows = reader.query(sql).all().await?;
            all(&rows, head)
        })
    }

    fn audit_rows(&self, chain: AuditChain, after: u64, limit: u32) -> Pending<'_, Vec<ChainRow>> {
        Box::pin(async move {
            let mut reader = self.readers.acquire().await?;
            let rows = reader
                .query("select * from audit where chain = $1 and number > $2 order by number limit $3")
                .bind(chain.to_string())
                .bind(after as i64)
                .bind(i64::from(limit))
                .all()
                .await?;
            all(&rows, chain_row)
        })
    }
}

/// Adds an entry to the end of its chain. Refused, it has written nothing.
pub(super) async fn append(connection: &mut Connection, entry: &AuditEntry) -> Result<(), StoreError> {
    append_record(connection, entry, &to_json(entry)?).await
}

pub(in crate::store) async fn append_record(
    connection: &mut Connection,
    entry: &AuditEntry,
    record: &str,
) -> Result<(), StoreError> {
    let chain = AuditChain::of(entry);
    let before = connection
        .query("select chain, number, seal from audit_heads where chain = $1")
        .bind(chain.to_string())
        .optional()
        .await?;
    let before = before.as_ref().map_or_else(|| Ok(ChainHead::start(chain)), head)?;
    let after = before.grown_by(record);
    let columns = AuditColumns::of(entry);
    let written = connection
        .query(
            "insert into audit (chain, number, id, organization, project, kind, at, record, seal)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict (id) do nothing",
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
        .run()
        .await?;
    if written == 0 {
        return Err(StoreError::Exists);
    }
    connection
        .query(
            "insert into audit_heads (chain, number, seal) values ($1, $2, $3)
         on conflict (chain) do update set number = excluded.number, seal = excluded.seal",
        )
        .bind(chain.to_string())
        .bind(after.number as i64)
        .bind(after.seal.to_string())
        .run()
        .await?;
    Ok(())
}

fn head(row: &Row) -> Result<ChainHead, StoreError> {
    let chain = parsed(row, "chain")?;
    let number: i64 = row.get("number")?;
    // Nothing is noted of a chain: its entries will be found to be too many.
    if number == 0 {
        return Ok(ChainHead::start(chain));
    }
    Ok(ChainHead { chain, number: number as u64, seal: parsed(row, "seal")? })
}

fn chain_row(row: &Row) -> Result<ChainRow, StoreError> {
    let integer = |column| row.get::<i64>(column).map(|number| number as u64);
    let text = |column| row.get::<String>(column);
    let optional = |column| row.get::<Option<String>>(column);
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
    connection: &mut Connection,
    organization: Option<OrganizationId>,
    query: &AuditQuery,
) -> Result<AuditPage, StoreError> {
    if let Some(after) = query.after {
        check(connection, organization, after).await?;
    }
    let kinds = if query.kinds.is_empty() { AuditKind::ALL } else { &query.kinds };
    let mut sql = Conditions::new("select record from (");
    for (place, kind) in kinds.iter().enumerate() {
        sql.push(if place == 0 { "select * from (" } else { " union all select * from (" });
        sql.push("select id, record from audit where ");
        of(&mut sql, organization);
        sql.push(" and kind = ").value(kind.as_str());
        narrow(&mut sql, query);
        sql.page_by_id(query.order, query.limit);
        sql.push(") as of_kind");
    }
    sql.push(") as of_kinds");
    sql.page_by_id(query.order, query.limit);
    let rows = connection.conditional(sql).all().await?;
    let (entries, has_more) = cut(all(&rows, |row| json(row, "record"))?, query.limit);
    Ok(AuditPage { entries, has_more })
}

/// Two texts, because an index is not used for a value that may be null.
fn of(sql: &mut Conditions, organization: Option<OrganizationId>) {
    match organization {
        Some(organization) => sql.push("organization = ").value(organization.to_string()),
        None => sql.push("organization is null"),
    };
}

fn narrow(sql: &mut Conditions, query: &AuditQuery) {
    sql.behind(query.order, query.after);
    if !query.projects.is_empty() {
        sql.one_of("project", query.projects.iter().map(ToString::to_string));
    }
    if let Some(from) = query.from {
        sql.push(" and at >= ").value(from.0 as i64);
    }
    if let Some(to) = query.to {
        sql.push(" and at < ").value(to.0 as i64);
    }
}

async fn check(
    connection: &mut Connection,
    organization: Option<OrganizationId>,
    after: EventId,
) -> Result<(), StoreError> {
    let mut sql = Conditions::new("select 1 from audit where id = ");
    sql.value(after.to_string()).push(" and ");
    of(&mut sql, organization);
    let known = connection.conditional(sql).optional().await?;
    known.map(|_| ()).ok_or(StoreError::NotFound)
}
