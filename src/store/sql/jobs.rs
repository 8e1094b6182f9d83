//! Jobs in SQL. A move is read, applied and written inside one transaction of the one writer, so no two can interleave.

use super::conditions::Conditions;
use super::dialect::Dialect;
use super::engine::Connection;
use super::garbage::{discard, named};
use super::rows::{all, job, parsed, to_json};
use super::{SqlStore, audit, tallies};
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

impl JobStore for SqlStore {
    fn admit(&self, admission: Admission) -> Pending<'_, Admitted> {
        Box::pin(self.writer.run(move |connection| Box::pin(admit(connection, admission))))
    }

    fn change(&self, change: Change) -> Pending<'_, Job> {
        Box::pin(self.writer.run(move |connection| Box::pin(make(connection, change))))
    }

    fn job(&self, reach: Reach, video: VideoId) -> Pending<'_, Option<Job>> {
        Box::pin(async move {
            let mut connection = self.readers.acquire().await?;
            find(&mut connection, reach, video).await
        })
    }

    fn jobs(&self, scope: ProjectScope, query: JobQuery) -> Pending<'_, JobPage> {
        Box::pin(async move {
            let mut connection = self.readers.acquire().await?;
            page(&mut connection, scope, &query).await
        })
    }

    fn tally(&self, owner: Owner, at: UnixMillis) -> Pending<'_, Tally> {
        Box::pin(async move {
            let mut connection = self.readers.acquire().await?;
            tallies::tally(&mut connection, owner, at).await
        })
    }

    fn unfinished(&self) -> Pending<'_, Vec<Job>> {
        Box::pin(async move {
            let mut reader = self.readers.acquire().await?;
            let rows = reader.query("select * from jobs where finished_at is null order by id").all().await?;
            all(&rows, job)
        })
    }

    fn aged(&self, aged: Aged, limit: u32) -> Pending<'_, Vec<Job>> {
        Box::pin(async move {
            let (sql, time) = match aged {
                Aged::AssetsExpired(now) => {
                    ("select * from jobs where expires_at <= $1 order by id limit $2", now)
                }
                Aged::Ended(before) => {
                    ("select * from jobs where finished_at < $1 order by id limit $2", before)
                }
            };
            let mut reader = self.readers.acquire().await?;
            all(&reader.query(sql).bind(time.0 as i64).bind(i64::from(limit)).all().await?, job)
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

async fn admit(connection: &mut Connection, admission: Admission) -> Result<Admitted, StoreError> {
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
        connection
            .query(
                "insert into idempotency_keys (project, route, key, fingerprint, video, used_at) \
                 values ($1, $2, $3, $4, $5, $6) on conflict (project, route, key) do update set \
                 fingerprint = excluded.fingerprint, video = excluded.video, used_at = excluded.used_at",
            )
            .bind(job.project.to_string())
            .bind(used.route)
            .bind(used.key)
            .bind(used.fingerprint)
            .bind(job.id.to_string())
            .bind(job.created_at.0 as i64)
            .run()
            .await?;
    }
    named(connection, Left::Input { video: job.id }).await?;
    insert(connection, &job, gates.reserve_ms).await?;
    tallies::admitted(connection, &job, gates.reserve_ms).await?;
    Ok(Admitted::New)
}

/// The job that the key made before, if it is remembered and the job exists.
async fn replayed(
    connection: &mut Connection,
    scope: ProjectScope,
    used: &Idempotency,
) -> Result<Option<Job>, StoreError> {
    let earlier = connection
        .query(
            "select fingerprint, video from idempotency_keys \
             where project = $1 and route = $2 and key = $3 and used_at >= $4",
        )
        .bind(scope.project.to_string())
        .bind(&used.route)
        .bind(&used.key)
        .bind(used.forget_before.0 as i64)
        .optional()
        .await?;
    let Some(earlier) = earlier else { return Ok(None) };
    let Some(first) = find(connection, Reach::Everywhere, parsed(&earlier, "video")?).await? else {
        return Ok(None);
    };
    if earlier.get::<&str>("fingerprint")? == used.fingerprint {
        Ok(Some(first))
    } else {
        Err(StoreError::KeyReused)
    }
}

async fn insert(connection: &mut Connection, job: &Job, reserve_ms: u64) -> Result<(), StoreError> {
    let spec = &job.request.spec;
    connection
        .query(
            "insert into jobs (id, organization, project, key_id, state, model, operation, created_at, \
             request, status, reserved_ms) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
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
        .run()
        .await?;
    Ok(())
}

async fn make(connection: &mut Connection, change: Change) -> Result<Job, StoreError> {
    let mut job = reached(connection, change.reach, change.video).await?;
    let before = job.status.clone();
    let kind = job.apply(&change.step, change.at)?;
    if let Some(entry) = change.noted(&before, &job) {
        audit::append(connection, &entry).await?;
    }
    let status = &job.status;
    let expires_at = status.expires_at.filter(|_| !status.expired);
    connection
        .query("update jobs set state = $1, finished_at = $2, expires_at = $3, status = $4 where id = $5")
        .bind(status.state.as_str())
        .bind(status.finished_at.map(|at| at.0 as i64))
        .bind(expires_at.map(|at| at.0 as i64))
        .bind(to_json(status)?)
        .bind(job.id.to_string())
        .run()
        .await?;
    tallies::moved(connection, &before, &job).await?;
    if let Some(kind) = kind {
        let event = Event::of(&job, kind, change.event, change.at);
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

async fn tell(connection: &mut Connection, event: &Event) -> Result<(), StoreError> {
    connection
        .query("insert into events (id, kind, project, video, at, facts) values ($1, $2, $3, $4, $5, $6)")
        .bind(event.id.to_string())
        .bind(event.kind.as_str())
        .bind(event.project.to_string())
        .bind(event.video.to_string())
        .bind(event.at.0 as i64)
        .bind(event.facts.as_ref().map(to_json).transpose()?)
        .run()
        .await?;
    Ok(())
}

async fn book(connection: &mut Connection, record: &UsageRecord) -> Result<(), StoreError> {
    connection
        .query(
            "insert into usage (video, organization, project, at, record) \
             values ($1, $2, $3, $4, $5) \
             on conflict do nothing",
        )
        .bind(record.video.to_string())
        .bind(record.organization.to_string())
        .bind(record.project.to_string())
        .bind(record.at.0 as i64)
        .bind(to_json(record)?)
        .run()
        .await?;
    Ok(())
}

async fn delete(
    connection: &mut Connection,
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
    connection.query("delete from jobs where id = $1").bind(video.to_string()).run().await?;
    connection
        .query("insert into deleted (id, project, deleted_at) values ($1, $2, $3) on conflict do nothing")
        .bind(video.to_string())
        .bind(job.project.to_string())
        .bind(at.0 as i64)
        .run()
        .await?;
    let garbage = left_by_deletion(&job, at);
    for garbage in &garbage {
        discard(connection, garbage).await?;
    }
    Ok(garbage)
}

async fn page(
    connection: &mut Connection,
    scope: ProjectScope,
    query: &JobQuery,
) -> Result<JobPage, StoreError> {
    if let Some(after) = query.after
        && !was_of_project(connection, scope, after).await?
    {
        return Err(StoreError::NotFound);
    }
    let mut sql = Conditions::new("select * from jobs where project = ");
    sql.value(scope.project.to_string());
    narrow(&mut sql, connection.dialect(), query);
    sql.page_by_id(query.order, query.limit);
    let rows = connection.conditional(sql).all().await?;
    let (jobs, has_more) = cut(all(&rows, job)?, query.limit);
    Ok(JobPage { jobs, has_more })
}

/// The conditions of a list.
fn narrow(sql: &mut Conditions, dialect: Dialect, query: &JobQuery) {
    let filter = &query.filter;
    sql.behind(query.order, query.after);
    if let Some(state) = filter.state {
        sql.push(" and state = ").value(state.as_str());
    }
    if let Some(model) = &filter.model {
        sql.push(" and model = ").value(model.to_string());
    }
    if let Some(operation) = filter.operation {
        sql.push(" and operation = ").value(operation.as_str());
    }
    if let Some(after) = filter.created_after {
        sql.push(" and created_at > ").value(after.0 as i64);
    }
    if let Some(before) = filter.created_before {
        sql.push(" and created_at < ").value(before.0 as i64);
    }
    if let Some(seed) = filter.seed {
        dialect.seed_is(sql, seed);
    }
    for (name, value) in &filter.metadata {
        dialect.metadata_has(sql, name, value);
    }
    if let Some(ids) = &filter.ids {
        sql.one_of("id", ids.iter().map(ToString::to_string));
    }
}

async fn was_of_project(
    connection: &mut Connection,
    scope: ProjectScope,
    video: VideoId,
) -> Result<bool, StoreError> {
    let known = connection
        .query(
            "select 1 from jobs where id = $1 and project = $2
         union all select 1 from deleted where id = $1 and project = $2",
        )
        .bind(video.to_string())
        .bind(scope.project.to_string())
        .optional()
        .await?;
    Ok(known.is_some())
}

/// What belongs to another project is not even read: the index knows no such pair, which takes as long as for an id that
/// never was.
async fn find(connection: &mut Connection, reach: Reach, video: VideoId) -> Result<Option<Job>, StoreError> {
    let query = match reach {
        Reach::Everywhere => connection.query("select * from jobs where id = $1").bind(video.to_string()),
        Reach::Project(scope) => {
            let sql = connection.dialect().job_of_project();
            connection.query(sql).bind(scope.project.to_string()).bind(video.to_string())
        }
    };
    let row = query.optional().await?;
    row.as_ref().map(job).transpose()
}

async fn reached(connection: &mut Connection, reach: Reach, video: VideoId) -> Result<Job, StoreError> {
    find(connection, reach, video).await?.ok_or(StoreError::NotFound)
}
