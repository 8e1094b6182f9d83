//! What a migration in SQL cannot do.

use super::StoreError;
use crate::store::sql::{Connection, append_record, from_json};

/// Chains the entries of an audit log from before there were chains, in one transaction.
pub(super) async fn chain_older(connection: &mut Connection) -> Result<(), StoreError> {
    let sql = "select 1 from sqlite_master where type = 'table' and name = 'audit_unchained'";
    if connection.query(sql).optional().await?.is_none() {
        return Ok(());
    }
    connection.query("begin immediate").run().await?;
    let records = connection.query("select record from audit_unchained order by id").all().await?;
    for row in records {
        let record: &str = row.get("record")?;
        append_record(connection, &from_json(record)?, record).await?;
    }
    connection.query("drop table audit_unchained").run().await?;
    connection.query("commit").run().await?;
    Ok(())
}
