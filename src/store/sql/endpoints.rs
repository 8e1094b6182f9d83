//! Receivers of webhooks in SQL.

use super::SqlStore;
use super::engine::Connection;
use super::rows::{all, json, to_json};
use crate::domain::id::{EndpointId, ProjectId};
use crate::domain::webhook::{CallbackSecrets, Endpoint, EndpointChange};
use crate::store::{EndpointStore, Pending, StoreError};

const CALLBACK: &str = "select record from callback_secrets where project = $1";

impl EndpointStore for SqlStore {
    fn endpoints(&self, project: ProjectId) -> Pending<'_, Vec<Endpoint>> {
        Box::pin(async move {
            let mut reader = self.readers.acquire().await?;
            let rows = reader
                .query("select record from endpoints where project = $1 order by id")
                .bind(project.to_string())
                .all()
                .await?;
            all(&rows, |row| json(row, "record"))
        })
    }

    fn endpoint(&self, project: ProjectId, endpoint: EndpointId) -> Pending<'_, Option<Endpoint>> {
        Box::pin(async move {
            let mut reader = self.readers.acquire().await?;
            let row = reader
                .query("select record from endpoints where id = $1 and project = $2")
                .bind(endpoint.to_string())
                .bind(project.to_string())
                .optional()
                .await?;
            row.as_ref().map(|row| json(row, "record")).transpose()
        })
    }

    fn add_endpoint(&self, endpoint: Endpoint) -> Pending<'_, ()> {
        Box::pin(self.writer.write(move |connection| {
            Box::pin(async move {
                let known = find(connection, endpoint.id).await?;
                if known.is_some() {
                    return Err(StoreError::Exists);
                }
                save(connection, &endpoint).await
            })
        }))
    }

    fn change_endpoint(
        &self,
        project: ProjectId,
        endpoint: EndpointId,
        change: EndpointChange,
    ) -> Pending<'_, ()> {
        Box::pin(self.writer.write(move |connection| {
            Box::pin(async move {
                let found = find(connection, endpoint).await?.filter(|found| found.project == project);
                let mut endpoint = found.ok_or(StoreError::NotFound)?;
                endpoint.apply(change);
                save(connection, &endpoint).await
            })
        }))
    }

    fn remove_endpoint(&self, project: ProjectId, endpoint: EndpointId) -> Pending<'_, ()> {
        Box::pin(self.writer.write(move |connection| {
            Box::pin(async move {
                let found = find(connection, endpoint).await?.filter(|found| found.project == project);
                found.ok_or(StoreError::NotFound)?;
                for sql in
                    ["delete from deliveries where endpoint = $1", "delete from endpoints where id = $1"]
                {
                    let query = connection.query(sql).bind(endpoint.to_string());
                    query.run().await?;
                }
                Ok(())
            })
        }))
    }

    fn callback_secrets(&self, fresh: CallbackSecrets) -> Pending<'_, CallbackSecrets> {
        Box::pin(async move {
            let mut reader = self.readers.acquire().await?;
            let row = reader.query(CALLBACK).bind(fresh.project.to_string()).optional().await?;
            match row {
                Some(row) => json(&row, "record"),
                None => self.writer.run(move |connection| Box::pin(keep_first(connection, fresh))).await,
            }
        })
    }

    fn save_callback_secrets(&self, secrets: CallbackSecrets) -> Pending<'_, ()> {
        Box::pin(self.writer.write(move |connection| {
            Box::pin(async move {
                let record = to_json(&secrets)?;
                connection
                    .query(
                        "insert into callback_secrets (project, record) \
                         values ($1, $2) \
                         on conflict (project) do update set record = excluded.record",
                    )
                    .bind(secrets.project.to_string())
                    .bind(record)
                    .run()
                    .await?;
                Ok(())
            })
        }))
    }
}

/// Another call may have come before.
async fn keep_first(
    connection: &mut Connection,
    fresh: CallbackSecrets,
) -> Result<CallbackSecrets, StoreError> {
    let (project, record) = (fresh.project.to_string(), to_json(&fresh)?);
    connection
        .query("insert into callback_secrets (project, record) values ($1, $2) on conflict do nothing")
        .bind(&project)
        .bind(record)
        .run()
        .await?;
    json(&connection.query(CALLBACK).bind(project).one().await?, "record")
}

/// The endpoint of that id, whoever owns it.
pub(super) async fn find(
    connection: &mut Connection,
    endpoint: EndpointId,
) -> Result<Option<Endpoint>, StoreError> {
    let row = connection
        .query("select record from endpoints where id = $1")
        .bind(endpoint.to_string())
        .optional()
        .await?;
    row.as_ref().map(|row| json(row, "record")).transpose()
}

/// Inserts or replaces.
pub(super) async fn save(connection: &mut Connection, endpoint: &Endpoint) -> Result<(), StoreError> {
    let record = to_json(endpoint)?;
    connection
        .query(
            "insert into endpoints (id, project, room, record) \
             values ($1, $2, $3, $4) \
             on conflict (id) do update set project = excluded.project, room = excluded.room, record = excluded.record",
        )
        .bind(endpoint.id.to_string())
        .bind(endpoint.project.to_string())
        .bind(i64::from(endpoint.room()))
        .bind(record)
        .run()
        .await?;
    Ok(())
}
