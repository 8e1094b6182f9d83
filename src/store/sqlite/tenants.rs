//! Tenants and keys in SQL.

use serde::de::DeserializeOwned;

use super::Sqlite;
use super::rows::{all, from_json, json, to_json, unavailable};
use crate::domain::clock::UnixMillis;
use crate::domain::id::{KeyId, OrganizationId, ProjectId};
use crate::domain::key::KeyRecord;
use crate::domain::tenant::{Organization, Project, ServiceAccount};
use crate::store::{KeyStore, Pending, StoreError, TenantStore};

impl TenantStore for Sqlite {
    fn organizations(&self) -> Pending<'_, Vec<Organization>> {
        self.records("select record from organizations order by id", None)
    }

    fn save_organization(&self, organization: Organization) -> Pending<'_, ()> {
        let values = [organization.id.to_string()];
        self.save("insert or replace into organizations values (?, ?)", values, to_json(&organization))
    }

    fn projects(&self, organization: OrganizationId) -> Pending<'_, Vec<Project>> {
        let sql = "select record from projects where organization = ? order by id";
        self.records(sql, Some(organization.to_string()))
    }

    fn project(&self, project: ProjectId) -> Pending<'_, Option<Project>> {
        self.record("select record from projects where id = ?", project.to_string())
    }

    fn save_project(&self, project: Project) -> Pending<'_, ()> {
        let values = [project.id.to_string(), project.organization.to_string()];
        self.save("insert or replace into projects values (?, ?, ?)", values, to_json(&project))
    }

    fn accounts(&self, project: ProjectId) -> Pending<'_, Vec<ServiceAccount>> {
        self.records("select record from accounts where project = ? order by id", Some(project.to_string()))
    }

    fn save_account(&self, account: ServiceAccount) -> Pending<'_, ()> {
        let values = [account.id.to_string(), account.project.to_string()];
        self.save("insert or replace into accounts values (?, ?, ?)", values, to_json(&account))
    }
}

impl KeyStore for Sqlite {
    fn key_by_handle(&self, handle: String) -> Pending<'_, Option<KeyRecord>> {
        self.record("select record from keys where handle = ?", handle)
    }

    fn key(&self, key: KeyId) -> Pending<'_, Option<KeyRecord>> {
        self.record("select record from keys where id = ?", key.to_string())
    }

    fn keys(&self) -> Pending<'_, Vec<KeyRecord>> {
        self.records("select record from keys order by id", None)
    }

    fn save_key(&self, key: KeyRecord) -> Pending<'_, ()> {
        let values = [key.id.to_string(), key.handle.clone()];
        self.save("insert or replace into keys values (?, ?, ?)", values, to_json(&key))
    }

    fn touch_key(&self, key: KeyId, at: UnixMillis) -> Pending<'_, ()> {
        Box::pin(self.writer.run(move |connection| {
            Box::pin(async move {
                sqlx::query("update keys set record = json_set(record, '$.last_used_at', ?) where id = ?")
                    .bind(at.0 as i64)
                    .bind(key.to_string())
                    .execute(connection)
                    .await
                    .map_err(unavailable)?;
                Ok(())
            })
        }))
    }
}

impl Sqlite {
    fn record<T: DeserializeOwned + Send>(&self, sql: &'static str, key: String) -> Pending<'_, Option<T>> {
        Box::pin(async move {
            let text: Option<String> =
                sqlx::query_scalar(sql).bind(key).fetch_optional(&self.readers).await.map_err(unavailable)?;
            text.as_deref().map(from_json).transpose()
        })
    }

    fn records<T: DeserializeOwned + Send>(
        &self,
        sql: &'static str,
        key: Option<String>,
    ) -> Pending<'_, Vec<T>> {
        Box::pin(async move {
            let query = sqlx::query(sql);
            let query = match key {
                Some(key) => query.bind(key),
                None => query,
            };
            let rows = query.fetch_all(&self.readers).await.map_err(unavailable)?;
            all(&rows, |row| json(row, "record"))
        })
    }

    /// Binds the values, then the record.
    fn save<const N: usize>(
        &self,
        sql: &'static str,
        values: [String; N],
        record: Result<String, StoreError>,
    ) -> Pending<'_, ()> {
        Box::pin(async move {
            let record = record?;
            self.writer
                .run(move |connection| {
                    Box::pin(async move {
                        let query =
                            values.into_iter().fold(sqlx::query(sql), |query, value| query.bind(value));
                        query.bind(record).execute(connection).await.map_err(unavailable)?;
                        Ok(())
                    })
                })
                .await
        })
    }
}
