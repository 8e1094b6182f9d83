//! Jobs in SQL. A move is read, applied and written inside one transaction of the one writer, so no two can interleave.

use sqlx::{QueryBuilder, Sqlite as Dialect, SqliteConnection};

use super::conditions::{behind, one_of, page_by_id};
use super::garbage::{discard, named};
use super::rows::{all, job, to_json, unavailable};
use super::{Sqlite, audit, tallies};
use crate::domain::audit::{AuditEntry, AuditKind, Authorship};
use crate::domain::clock::UnixMillis;
use crate::domain::event::Event;
use crate::domain::id::VideoId;
use crate::domain::job::Job;
use crate::domain::key::ProjectScope;
use crate::domain::usage::UsageRecord;
use crate::store::garbage::{left_by_deletion, left_by_move};
use crate::store::query::cut;
use crate::store::{
    Admission, Admitted, Aged, Change, Garbage, Idempotency, JobPage, JobQuery, JobStore, Left, Owner,
    Pending, Reach, StoreError, Tally,
};

impl JobStore for Sqlite {
    fn admit(&self, admission: Admission) -> Pending<'_, Admitted> {
        Box::pin(self.writer.run(move |connection| Box::pin(admit(connection, admission))))
    }

    fn change(&self, change: Change) -> Pending<'_, Job> {
        Box::pin(self.writer.run(move |connection| Box::pin(make(connection, change))))
    }

    fn job(&self, reach: Reach, video: VideoId) -> Pending<'_, Option<Job>> {
        Box::pin(async move {
            let mut connection = self.readers.acquire().await.map_err(unavailable)?;
            find(&mut connection, reach, video).await
        })
    }

    fn jobs(&self, scope: ProjectScope, query: JobQuery) -> Pending<'_, JobPage> {
        Box::pin(async move {
            let mut connection = self.readers.acquire().await.map_err(unavailable)?;
            page(&mut connection, scope, &query).await
        })
    }

    fn tally(&self, owner: Owner, at: UnixMillis) -> Pending<'_, Tally> {
        Box::pin(async move {
            let mut connection = self.readers.acquire().await.map_err(unavailable)?;
            tallies::tally(&mut connection, owner, at).await
        })
    }

    fn unfinished(&self) -> Pending<'_, Vec<Job>> {
        Box::pin(async move {
            let rows = sqlx::query("select * from jobs where finished_at is null order by id")
                .fetch_all(&self.readers)
                .await
                .map_err(unavailable)?;
            all(&rows, job)
        })
    }

    fn aged(&self, aged: Aged, limit: u32) -> Pending<'_, Vec<Job>> {
        Box::pin(async move {
            let (sql, time) = match aged {
                Aged::AssetsExpired(now) => {
                    ("select * from jobs where expires_at <= ? order by id limit ?", now)
                }
                Aged::Ended(before) => {
                    ("select * from jobs where finished_at < ? order by id limit ?", before)
                }
            };
            let rows = sqlx::query(sql).bind(time.0 as i64).bind(limit).fetch_all(&self.readers).await;
            all(&rows.map_err(unavailable)?, job)
        })
    }

    fn delete(
        &self,
        reach: Reach,
        video: VideoId,
        at: UnixMillis,
        by: Authorship,
    ) -> Pending<'_, Vec<Garbage>> {
        Box::pin(self.writer.run(move |connection| Box::pin(delete(connection, reach, video, at, by))))
    }
}

async fn admit(connection: &mut SqliteConnection, admission: Admission) -> Result<Admitted, StoreError> {
    let entry = admission.noted();
    let Admission { job, gates, idempotency, .. } = admission;
    let scope = ProjectScope { organization: job.organization, project: job.project };
    if let Some(used) = &idempotency
        && let Some(first) = replayed(connection, scope, used).await?
    {
        return Ok(Admitted::Replayed(Box::new(first)));
    }
    if find(connection, Reach::Everywhere, job.id).await?.is_some() {
        return Err(StoreError::Exists);
    }
    tallies::pass(connection, &job, &gates).await?;
    audit::append(connection, &entry).await?;
    if let Some(used) = idempotency {
        sqlx::query("insert or replace into idempotency_keys values (?, ?, ?, ?, ?, ?)")
            .bind(job.project.to_string())
            .bind(used.route)
            .bind(used.key)
            .bind(used.fingerprint)
            .bind(job.id.to_string())
            .bind(job.created_at.0 as i64)
            .execute(&mut *connection)
            .await
            .map_err(unavailable)?;
    }
    named(connection, Left::Input { video: job.id }).await?;
    insert(connection, &job, gates.reserve_ms).await?;
    tallies::admitted(connection, &job, gates.reserve_ms).await?;
    Ok(Admitted::New)
}

/// The job that the key made before, if it is remembered and the job exists.
async fn replayed(
    connection: &mut SqliteConnection,
    scope: ProjectScope,
    used: &Idempotency,
) -> Result<Option<Job>, StoreError> {
    let earlier: Option<(String, String)> = sqlx::query_as(
        "select fingerprint, video from idempotency_keys where project = ? and route = ? and key = ? and used_at >= ?",
    )
    .bind(scope.project.to_string())
    .bind(&used.route)
    .bind(&used.key)
    .bind(used.forget_before.0 as i64)
    .fetch_optional(&mut *connection)
    .await
    .map_err(unavailable)?;
    let Some((fingerprint, video)) = earlier else { return Ok(None) };
    let video = video.parse().map_err(|_| StoreError::Corrupt(format!("a key made {video}")))?;
    let Some(first) = find(connection, Reach::Everywhere, video).await? else { return Ok(None) };
    if fingerprint == used.fingerprint { Ok(Some(first)) } else { Err(StoreError::KeyReused) }
}

async fn insert(connection: &mut SqliteConnection, job: &Job, reserve_ms: u64) -> Result<(), StoreError> {
    let spec = &job.request.spec;
    sqlx::query(
        "insert into jobs (id, organization, project, key_id, state, model, operation, created_at, request, status, reserved_ms)
         values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(job.id.to_string())
    .bind(job.organization.to_string())
    .bind(job.project.to_string())
    .bind(job.key.to_string())
    .bind(job.status.state.as_str())
    .bind(spec.model.as_str())
    .bind(spec.operation.as_str())
    .bind(job.created_at.0 as i64)
    .bind(to_json(&job.request)?)
    .bind(to_json(&job.status)?)
    .bind(reserve_ms as i64)
    .execute(connection)
    .await
    .map_err(unavailable)?;
    Ok(())
}

async fn make(connection: &mut SqliteConnection, change: Change) -> Result<Job, StoreError> {
    let mut job = reached(connection, change.reach, change.video).await?;
    let before = job.status.clone();
    let kind = job.apply(&change.step, change.at)?;
    if let Some(entry) = change.noted(&before, &job) {
        audit::append(connection, &entry).await?;
    }
    let status = &job.status;
    let expires_at = status.expires_at.filter(|_| !status.expired);
    sqlx::query("update jobs set state = ?, finished_at = ?, expires_at = ?, status = ? where id = ?")
        .bind(status.state.as_str())
        .bind(status.finished_at.map(|at| at.0 as i64))
        .bind(expires_at.map(|at| at.0 as i64))
        .bind(to_json(status)?)
        .bind(job.id.to_string())
        .execute(&mut *connection)
        .await
        .map_err(unavailable)?;
    tallies::moved(connection, &before, &job).await?;
    if let Some(kind) = kind {
        let event = Event { id: change.event, kind, project: job.project, video: job.id, at: change.at };
        tell(connection, &event).await?;
    }
    if let Some(garbage) = left_by_move(&before, &job, change.at) {
        discard(connection, &garbage).await?;
    }
    if before.finished_at.is_none()
        && let Some(record) = UsageRecord::of(&job)
    {
        book(connection, &record).await?;
        tallies::booked(connection, &record).await?;
    }
    Ok(job)
}

async fn tell(connection: &mut SqliteConnection, event: &Event) -> Result<(), StoreError> {
    sqlx::query("insert into events (id, kind, project, video, at) values (?, ?, ?, ?, ?)")
        .bind(event.id.to_string())
        .bind(event.kind.as_str())
        .bind(event.project.to_string())
        .bind(event.video.to_string())
        .bind(event.at.0 as i64)
        .execute(connection)
        .await
        .map_err(unavailable)?;
    Ok(())
}

async fn book(connection: &mut SqliteConnection, record: &UsageRecord) -> Result<(), StoreError> {
    sqlx::query("insert or ignore into usage values (?, ?, ?, ?, ?)")
        .bind(record.video.to_string())
        .bind(record.organization.to_string())
        .bind(record.project.to_string())
        .bind(record.at.0 as i64)
        .bind(to_json(record)?)
        .execute(connection)
        .await
        .map_err(unavailable)?;
    Ok(())
}

async fn delete(
    connection: &mut SqliteConnection,
    reach: Reach,
    video: VideoId,
    at: UnixMillis,
    by: Authorship,
) -> Result<Vec<Garbage>, StoreError> {
    let job = reached(connection, reach, video).await?;
    if !job.status.state.is_terminal() {
        return Err(StoreError::NotEnded);
    }
    audit::append(connection, &AuditEntry::of_job(&job, AuditKind::VideoDeleted, by, at)).await?;
    sqlx::query("delete from jobs where id = ?")
        .bind(video.to_string())
        .execute(&mut *connection)
        .await
        .map_err(unavailable)?;
    sqlx::query("insert or ignore into deleted values (?, ?, ?)")
        .bind(video.to_string())
        .bind(job.project.to_string())
        .bind(at.0 as i64)
        .execute(&mut *connection)
        .await
        .map_err(unavailable)?;
    let garbage = left_by_deletion(&job, at);
    for garbage in &garbage {
        discard(connection, garbage).await?;
    }
    Ok(garbage)
}

async fn page(
    connection: &mut SqliteConnection,
    scope: ProjectScope,
    query: &JobQuery,
) -> Result<JobPage, StoreError> {
    if let Some(after) = query.after
        && !was_of_project(connection, scope, after).await?
    {
        return Err(StoreError::NotFound);
    }
    let mut sql = QueryBuilder::<Dialect>::new("select * from jobs where project = ");
    sql.push_bind(scope.project.to_string());
    narrow(&mut sql, query);
    page_by_id(&mut sql, query.order, query.limit);
    let rows = sql.build().fetch_all(connection).await.map_err(unavailable)?;
    let (jobs, has_more) = cut(all(&rows, job)?, query.limit);
    Ok(JobPage { jobs, has_more })
}

/// The conditions of a list.
fn narrow(sql: &mut QueryBuilder<Dialect>, query: &JobQuery) {
    let filter = &query.filter;
    behind(sql, query.order, query.after);
    if let Some(state) = filter.state {
        sql.push(" and state = ").push_bind(state.as_str());
    }
    if let Some(model) = &filter.model {
        sql.push(" and model = ").push_bind(model.to_string());
    }
    if let Some(operation) = filter.operation {
        sql.push(" and operation = ").push_bind(operation.as_str());
    }
    if let Some(after) = filter.created_after {
        sql.push(" and created_at > ").push_bind(after.0 as i64);
    }
    if let Some(before) = filter.created_before {
        sql.push(" and created_at < ").push_bind(before.0 as i64);
    }
    if let Some(seed) = filter.seed {
        sql.push(" and json_extract(request, '$.spec.seed') = ").push_bind(i64::from(seed));
    }
    for (name, value) in &filter.metadata {
        sql.push(" and exists (select 1 from json_each(request, '$.metadata') where key = ")
            .push_bind(name.clone())
            .push(" and value = ")
            .push_bind(value.clone())
            .push(")");
    }
    if let Some(ids) = &filter.ids {
        one_of(sql, "id", ids.iter().map(ToString::to_string));
    }
}

async fn was_of_project(
    connection: &mut SqliteConnection,
    scope: ProjectScope,
    video: VideoId,
) -> Result<bool, StoreError> {
    let known: Option<i64> = sqlx::query_scalar(
        "select 1 from jobs where id = ?1 and project = ?2
         union all select 1 from deleted where id = ?1 and project = ?2",
    )
    .bind(video.to_string())
    .bind(scope.project.to_string())
    .fetch_optional(connection)
    .await
    .map_err(unavailable)?;
    Ok(known.is_some())
}

/// What belongs to another project is not even read: the index knows no such pair, which takes as long as for an id that
/// never was.
async fn find(
    connection: &mut SqliteConnection,
    reach: Reach,
    video: VideoId,
) -> Result<Option<Job>, StoreError> {
    let query = match reach {
        Reach::Everywhere => sqlx::query("select * from jobs where id = ?").bind(video.to_string()),
        Reach::Project(scope) => {
            sqlx::query("select * from jobs indexed by jobs_of_project where project = ? and id = ?")
                .bind(scope.project.to_string())
                .bind(video.to_string())
        }
    };
    let row = query.fetch_optional(connection).await.map_err(unavailable)?;
    row.as_ref().map(job).transpose()
}

async fn reached(connection: &mut SqliteConnection, reach: Reach, video: VideoId) -> Result<Job, StoreError> {
    find(connection, reach, video).await?.ok_or(StoreError::NotFound)
}
