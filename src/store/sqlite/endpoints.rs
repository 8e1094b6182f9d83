//! Receivers of webhooks in SQL.

use sqlx::SqliteConnection;

use super::Sqlite;
use super::rows::{all, from_json, json, to_json, unavailable};
use crate::domain::id::{EndpointId, ProjectId};
use crate::domain::webhook::{CallbackSecrets, Endpoint, EndpointChange};
use crate::store::{EndpointStore, Pending, StoreError};

const CALLBACK: &str = "select record from callback_secrets where project = ?";

impl EndpointStore for Sqlite {
    fn endpoints(&self, project: ProjectId) -> Pending<'_, Vec<Endpoint>> {
        Box::pin(async move {
            let rows = sqlx::query("select record from endpoints where project = ? order by id")
                .bind(project.to_string())
                .fetch_all(&self.readers)
                .await
                .map_err(unavailable)?;
            all(&rows, |row| json(row, "record"))
        })
    }

    fn endpoint(&self, project: ProjectId, endpoint: EndpointId) -> Pending<'_, Option<Endpoint>> {
        Box::pin(async move {
            let text: Option<String> =
                sqlx::query_scalar("select record from endpoints where id = ? and project = ?")
                    .bind(endpoint.to_string())
                    .bind(project.to_string())
                    .fetch_optional(&self.readers)
                    .await
                    .map_err(unavailable)?;
            text.as_deref().map(from_json).transpose()
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
                for sql in ["delete from deliveries where endpoint = ?", "delete from endpoints where id = ?"]
                {
                    let query = sqlx::query(sql).bind(endpoint.to_string());
                    query.execute(&mut *connection).await.map_err(unavailable)?;
                }
                Ok(())
            })
        }))
    }

    fn callback_secrets(&self, fresh: CallbackSecrets) -> Pending<'_, CallbackSecrets> {
        Box::pin(async move {
            let found: Option<String> = sqlx::query_scalar(CALLBACK)
                .bind(fresh.project.to_string())
                .fetch_optional(&self.readers)
                .await
                .map_err(unavailable)?;
            match found {
                Some(found) => from_json(&found),
                None => self.writer.run(move |connection| Box::pin(keep_first(connection, fresh))).await,
            }
        })
    }

    fn save_callback_secrets(&self, secrets: CallbackSecrets) -> Pending<'_, ()> {
        Box::pin(self.writer.write(move |connection| {
            Box::pin(async move {
                let record = to_json(&secrets)?;
                sqlx::query("insert or replace into callback_secrets values (?, ?)")
                    .bind(secrets.project.to_string())
                    .bind(record)
                    .execute(connection)
                    .await
                    .map_err(unavailable)?;
                Ok(())
            })
        }))
    }
}

/// Another call may have come before.
async fn keep_first(
    connection: &mut SqliteConnection,
    fresh: CallbackSecrets,
) -> Result<CallbackSecrets, StoreError> {
    let (project, record) = (fresh.project.to_string(), to_json(&fresh)?);
    sqlx::query("insert into callback_secrets values (?, ?) on conflict do nothing")
        .bind(&project)
        .bind(record)
        .execute(&mut *connection)
        .await
        .map_err(unavailable)?;
    let kept: String =
        sqlx::query_scalar(CALLBACK).bind(&project).fetch_one(connection).await.map_err(unavailable)?;
    from_json(&kept)
}

/// The endpoint of that id, whoever owns it.
pub(super) async fn find(
    connection: &mut SqliteConnection,
    endpoint: EndpointId,
) -> Result<Option<Endpoint>, StoreError> {
    let text: Option<String> = sqlx::query_scalar("select record from endpoints where id = ?")
        .bind(endpoint.to_string())
        .fetch_optional(connection)
        .await
        .map_err(unavailable)?;
    text.as_deref().map(from_json).transpose()
}

/// Inserts or replaces.
pub(super) async fn save(connection: &mut SqliteConnection, endpoint: &Endpoint) -> Result<(), StoreError> {
    let record = to_json(endpoint)?;
    sqlx::query("insert or replace into endpoints values (?, ?, ?, ?)")
        .bind(endpoint.id.to_string())
        .bind(endpoint.project.to_string())
        .bind(endpoint.room())
        .bind(record)
        .execute(connection)
        .await
        .map_err(unavailable)?;
    Ok(())
}
