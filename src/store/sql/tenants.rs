//! Tenants, their limits and keys in SQL.

use serde::de::DeserializeOwned;

use super::SqlStore;
use super::rows::{all, from_json, json, to_json};
use crate::domain::clock::UnixMillis;
use crate::domain::id::{KeyId, OrganizationId, ProjectId, ServiceAccountId};
use crate::domain::key::{KeyOwner, KeyRecord};
use crate::domain::limits::RateLimit;
use crate::domain::tenant::{Organization, Project, ServiceAccount};
use crate::domain::token::SigningKey;
use crate::store::{KeyStore, KeysOf, Pending, StoreError, TenantStore};

impl TenantStore for SqlStore {
    fn organizations(&self) -> Pending<'_, Vec<Organization>> {
        self.records_of("select record from organizations order by id", None)
    }

    fn organization(&self, organization: OrganizationId) -> Pending<'_, Option<Organization>> {
        self.record_of("select record from organizations where id = $1", organization.to_string())
    }

    fn save_organization(&self, organization: Organization) -> Pending<'_, ()> {
        let values = [organization.id.to_string()];
        self.save(
            "insert into organizations (id, record) \
             values ($1, $2) \
             on conflict (id) do update set record = excluded.record",
            values,
            to_json(&organization),
        )
    }

    fn projects(&self, organization: OrganizationId) -> Pending<'_, Vec<Project>> {
        let sql = "select record from projects where organization = $1 order by id";
        self.records_of(sql, Some(organization.to_string()))
    }

    fn project(&self, project: ProjectId) -> Pending<'_, Option<Project>> {
        self.record_of("select record from projects where id = $1", project.to_string())
    }

    fn save_project(&self, project: Project) -> Pending<'_, ()> {
        let values = [project.id.to_string(), project.organization.to_string()];
        self.save(
            "insert into projects (id, organization, record) \
             values ($1, $2, $3) \
             on conflict (id) do update set organization = excluded.organization, record = excluded.record",
            values,
            to_json(&project),
        )
    }

    fn accounts(&self, project: ProjectId) -> Pending<'_, Vec<ServiceAccount>> {
        self.records_of(
            "select record from accounts where project = $1 order by id",
            Some(project.to_string()),
        )
    }

    fn save_account(&self, account: ServiceAccount) -> Pending<'_, ()> {
        let values = [account.id.to_string(), account.project.to_string()];
        self.save(
            "insert into accounts (id, project, record) \
             values ($1, $2, $3) \
             on conflict (id) do update set project = excluded.project, record = excluded.record",
            values,
            to_json(&account),
        )
    }

    fn delete_account(&self, account: ServiceAccountId) -> Pending<'_, ()> {
        Box::pin(self.writer.write(move |connection| {
            Box::pin(async move {
                let sql = "delete from accounts where id = $1";
                connection.query(sql).bind(account.to_string()).run().await?;
                Ok(())
            })
        }))
    }

    fn rate_limits(&self, project: ProjectId) -> Pending<'_, Vec<RateLimit>> {
        let sql = "select record from rate_limits where project = $1 order by model";
        self.records_of(sql, Some(project.to_string()))
    }

    fn save_rate_limit(&self, limit: RateLimit) -> Pending<'_, ()> {
        let model = limit.model.as_ref().map_or_else(String::new, ToString::to_string);
        let values = [limit.project.to_string(), model];
        self.save(
            "insert into rate_limits (project, model, record) \
             values ($1, $2, $3) \
             on conflict (project, model) do update set record = excluded.record",
            values,
            to_json(&limit),
        )
    }
}

impl KeyStore for SqlStore {
    fn key_by_handle(&self, handle: String) -> Pending<'_, Option<KeyRecord>> {
        // Somebody's record is read and understood either way.
        let sql = "select coalesce((select record from keys where handle = $1), \
                   (select record from keys limit 1), '') as record";
        Box::pin(async move {
            let found: Option<KeyRecord> = self.record_of(sql, handle.clone()).await?;
            Ok(found.filter(|found| found.handle == handle))
        })
    }

    fn key(&self, key: KeyId) -> Pending<'_, Option<KeyRecord>> {
        self.record_of("select record from keys where id = $1", key.to_string())
    }

    fn keys(&self, of: KeysOf) -> Pending<'_, Vec<KeyRecord>> {
        let owner = match of {
            KeysOf::Project(project) => project.to_string(),
            KeysOf::Organization(organization) => organization.to_string(),
        };
        self.records_of("select record from keys where owner = $1 order by id", Some(owner))
    }

    fn save_key(&self, key: KeyRecord) -> Pending<'_, ()> {
        let owner = match key.owner {
            KeyOwner::Project { scope, .. } => scope.project.to_string(),
            KeyOwner::Admin { organization } => organization.to_string(),
            KeyOwner::Operator => String::new(),
        };
        let values = [key.id.to_string(), key.handle.clone(), owner];
        let sql = "insert into keys (id, handle, owner, record) \
            values ($1, $2, $3, $4) \
            on conflict (id) do update set handle = excluded.handle, owner = excluded.owner, record = excluded.record";
        self.save(sql, values, to_json(&key))
    }

    fn touch_key(&self, key: KeyId, at: UnixMillis) -> Pending<'_, ()> {
        Box::pin(self.writer.run(move |connection| {
            Box::pin(async move {
                let sql = "select record from keys where id = $1";
                let row = connection.query(sql).bind(key.to_string()).optional().await?;
                let Some(row) = row else { return Ok(()) };
                let mut record: KeyRecord = json(&row, "record")?;
                record.last_used_at = Some(at);
                connection
                    .query("update keys set record = $1 where id = $2")
                    .bind(to_json(&record)?)
                    .bind(key.to_string())
                    .run()
                    .await?;
                Ok(())
            })
        }))
    }

    fn signing_keys(&self) -> Pending<'_, Vec<SigningKey>> {
        self.records_of("select record from signing_keys order by id", None)
    }

    fn save_signing_key(&self, key: SigningKey) -> Pending<'_, ()> {
        let values = [key.id.to_string()];
        self.save(
            "insert into signing_keys (id, record) \
             values ($1, $2) \
             on conflict (id) do update set record = excluded.record",
            values,
            to_json(&key),
        )
    }
}

impl SqlStore {
    fn record_of<T: DeserializeOwned + Send>(
        &self,
        sql: &'static str,
        key: String,
    ) -> Pending<'_, Option<T>> {
        Box::pin(async move {
            let mut reader = self.readers.acquire().await?;
            let Some(row) = reader.query(sql).bind(key).optional().await? else { return Ok(None) };
            let text: &str = row.get("record")?;
            (!text.is_empty()).then(|| from_json(text)).transpose()
        })
    }

    fn records_of<T: DeserializeOwned + Send>(
        &self,
        sql: &'static str,
        key: Option<String>,
    ) -> Pending<'_, Vec<T>> {
        Box::pin(async move {
            let mut reader = self.readers.acquire().await?;
            let query = reader.query(sql);
            let query = match key {
                Some(key) => query.bind(key),
                None => query,
            };
            let rows = query.all().await?;
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
                .write(move |connection| {
                    Box::pin(async move {
                        let query =
                            values.into_iter().fold(connection.query(sql), |query, value| query.bind(value));
                        query.bind(record).run().await?;
                        Ok(())
                    })
                })
                .await
        })
    }
}
