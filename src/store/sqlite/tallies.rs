//! What tenants use, counted as jobs come and go, so that an admission reads a few rows however many jobs there are.

use sqlx::{Row, SqliteConnection};

use super::rows::unavailable;
use crate::domain::clock::UnixMillis;
use crate::domain::job::{Job, JobState, JobStatus};
use crate::domain::limits::{Window, day_of, millis_of};
use crate::domain::model::ModelId;
use crate::domain::usage::UsageRecord;
use crate::store::{Gates, Owner, SecondsGate, StoreError, Tally};

/// Refuses a job that some gate has no room for.
pub(super) async fn pass(
    connection: &mut SqliteConnection,
    job: &Job,
    gates: &Gates,
) -> Result<(), StoreError> {
    for gate in &gates.active {
        let project = Owner::Project(job.project);
        if unended(connection, project, gate.model.as_ref()).await?.active >= gate.most {
            return Err(StoreError::TooManyActive { limit: gate.most });
        }
    }
    for gate in &gates.seconds {
        let used_ms = used(connection, gate).await?;
        if used_ms + gates.reserve_ms > gate.most_ms {
            let SecondsGate { most_ms, window, .. } = *gate;
            return Err(StoreError::QuotaSpent { most_ms, used_ms, until: window.until });
        }
    }
    Ok(())
}

/// Counts a job that was just admitted.
pub(super) async fn admitted(
    connection: &mut SqliteConnection,
    job: &Job,
    reserve_ms: u64,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into tallies (project, model, organization, active, reserved_ms) values (?, ?, ?, 1, ?)
         on conflict (project, model) do update set active = active + 1, reserved_ms = reserved_ms + excluded.reserved_ms",
    )
    .bind(job.project.to_string())
    .bind(job.request.spec.model.as_str())
    .bind(job.organization.to_string())
    .bind(reserve_ms as i64)
    .execute(connection)
    .await
    .map_err(unavailable)?;
    Ok(())
}

/// Counts a move: who started runs, and who ended is active no more and gives back what was promised.
pub(super) async fn moved(
    connection: &mut SqliteConnection,
    before: &JobStatus,
    job: &Job,
) -> Result<(), StoreError> {
    let runs = |state: JobState| i64::from(state == JobState::InProgress);
    let running = runs(job.status.state) - runs(before.state);
    let ended = i64::from(job.status.state.is_terminal()) - i64::from(before.state.is_terminal());
    if running == 0 && ended == 0 {
        return Ok(());
    }
    sqlx::query(
        "update tallies set active = active - ?1, running = running + ?2,
         reserved_ms = reserved_ms - ?1 * (select reserved_ms from jobs where id = ?3)
         where project = ?4 and model = ?5",
    )
    .bind(ended)
    .bind(running)
    .bind(job.id.to_string())
    .bind(job.project.to_string())
    .bind(job.request.spec.model.as_str())
    .execute(connection)
    .await
    .map_err(unavailable)?;
    Ok(())
}

/// Adds what was booked to its day.
pub(super) async fn booked(
    connection: &mut SqliteConnection,
    record: &UsageRecord,
) -> Result<(), StoreError> {
    let gpu_ms = millis_of(record.usage.gpu_seconds);
    if gpu_ms == 0 {
        return Ok(());
    }
    sqlx::query(
        "insert into spent (project, day, model, organization, gpu_ms) values (?, ?, ?, ?, ?)
         on conflict (project, day, model) do update set gpu_ms = gpu_ms + excluded.gpu_ms",
    )
    .bind(record.project.to_string())
    .bind(day_of(record.at))
    .bind(record.model.as_str())
    .bind(record.organization.to_string())
    .bind(gpu_ms as i64)
    .execute(connection)
    .await
    .map_err(unavailable)?;
    Ok(())
}

/// What the owner's jobs use.
pub(super) async fn tally(
    connection: &mut SqliteConnection,
    owner: Owner,
    at: UnixMillis,
) -> Result<Tally, StoreError> {
    let unended = unended(connection, owner, None).await?;
    let (sql, name) = match owner {
        Owner::Project(project) => (
            "select coalesce(sum(iif(day >= ?2, gpu_ms, 0)), 0), coalesce(sum(gpu_ms), 0)
             from spent where project = ?1 and day >= ?3",
            project.to_string(),
        ),
        Owner::Organization(organization) => (
            "select coalesce(sum(iif(day >= ?2, gpu_ms, 0)), 0), coalesce(sum(gpu_ms), 0)
             from spent where organization = ?1 and day >= ?3",
            organization.to_string(),
        ),
    };
    let (day_ms, month_ms): (i64, i64) = sqlx::query_as(sql)
        .bind(name)
        .bind(Window::day(at).first_day)
        .bind(Window::month(at).first_day)
        .fetch_one(connection)
        .await
        .map_err(unavailable)?;
    Ok(Tally { day_ms: day_ms as u64, month_ms: month_ms as u64, ..unended })
}

/// The part of a tally that is about jobs that have not ended.
async fn unended(
    connection: &mut SqliteConnection,
    owner: Owner,
    model: Option<&ModelId>,
) -> Result<Tally, StoreError> {
    let (sql, name) = match owner {
        Owner::Project(project) => (
            "select coalesce(sum(active), 0) active, coalesce(sum(running), 0) running,
             coalesce(sum(reserved_ms), 0) reserved_ms from tallies where project = ?1 and (?2 is null or model = ?2)",
            project.to_string(),
        ),
        Owner::Organization(organization) => (
            "select coalesce(sum(active), 0) active, coalesce(sum(running), 0) running,
             coalesce(sum(reserved_ms), 0) reserved_ms from tallies where organization = ?1 and (?2 is null or model = ?2)",
            organization.to_string(),
        ),
    };
    let row = sqlx::query(sql)
        .bind(name)
        .bind(model.map(|model| model.to_string()))
        .fetch_one(connection)
        .await
        .map_err(unavailable)?;
    let number = |column: &str| row.try_get::<i64, _>(column).map_err(unavailable);
    Ok(Tally {
        active: number("active")? as u32,
        running: number("running")? as u32,
        reserved_ms: number("reserved_ms")? as u64,
        ..Tally::default()
    })
}

/// Charged in the gate's window, or promised.
async fn used(connection: &mut SqliteConnection, gate: &SecondsGate) -> Result<u64, StoreError> {
    let (sql, name) = match gate.owner {
        Owner::Project(project) => (
            "select coalesce(sum(gpu_ms), 0) from spent where project = ?1 and day >= ?2 and (?3 is null or model = ?3)",
            project.to_string(),
        ),
        Owner::Organization(organization) => (
            "select coalesce(sum(gpu_ms), 0) from spent where organization = ?1 and day >= ?2 and (?3 is null or model = ?3)",
            organization.to_string(),
        ),
    };
    let charged: i64 = sqlx::query_scalar(sql)
        .bind(name)
        .bind(gate.window.first_day)
        .bind(gate.model.as_ref().map(|model| model.to_string()))
        .fetch_one(&mut *connection)
        .await
        .map_err(unavailable)?;
    Ok(charged as u64 + unended(connection, gate.owner, gate.model.as_ref()).await?.reserved_ms)
}

#[cfg(test)]
mod tests {
    use sqlx::Connection;

    use super::*;
    use crate::domain::key::{KeyOwner, KeyRecord};
    use crate::domain::sample;

    /// A store as it was before anything was counted: the migration counts what it finds.
    #[tokio::test]
    async fn an_older_store_is_counted_when_it_is_opened() {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        for sql in [
            include_str!("../../../migrations/sqlite/0001_first.sql"),
            include_str!("../../../migrations/sqlite/0002_webhooks.sql"),
        ] {
            sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        }
        let (first, second) = (sample::job(1, 1000), sample::job(1, 2000));
        for (job, state) in [(&first, "queued"), (&second, "in_progress")] {
            let sql = "insert into jobs (id, organization, project, key_id, state, model, operation, created_at, request, status)
                       values (?, ?, ?, '', ?, 'wan-tiny', '', 0, '', '')";
            sqlx::query(sql)
                .bind(job.id.to_string())
                .bind(job.organization.to_string())
                .bind(job.project.to_string())
                .bind(state)
                .execute(&mut connection)
                .await
                .unwrap();
        }
        sqlx::query("insert into usage values ('v', ?, ?, 3000, ?)")
            .bind(first.organization.to_string())
            .bind(first.project.to_string())
            .bind(r#"{"model": "wan-tiny", "usage": {"gpu_seconds": 1.2345}}"#)
            .execute(&mut connection)
            .await
            .unwrap();
        let record = key(KeyOwner::Admin { organization: first.organization });
        sqlx::query("insert into keys values ('k', 'h', ?)")
            .bind(serde_json::to_string(&record).unwrap())
            .execute(&mut connection)
            .await
            .unwrap();
        let migration = include_str!("../../../migrations/sqlite/0003_tenants.sql");
        sqlx::raw_sql(migration).execute(&mut connection).await.unwrap();
        let found = tally(&mut connection, Owner::Project(first.project), UnixMillis(3000)).await.unwrap();
        let expected = Tally { active: 2, running: 1, reserved_ms: 0, day_ms: 1235, month_ms: 1235 };
        assert_eq!(found, expected);
        let owner: String =
            sqlx::query_scalar("select owner from keys").fetch_one(&mut connection).await.unwrap();
        assert_eq!(owner, first.organization.to_string());
    }

    fn key(owner: KeyOwner) -> KeyRecord {
        KeyRecord {
            id: sample::job(1, 1).key,
            handle: String::new(),
            name: String::new(),
            owner,
            scopes: Vec::new(),
            digest: String::new(),
            pepper_version: 1,
            redacted: String::new(),
            created_at: UnixMillis(1),
            expires_at: None,
            overlap_ends_at: None,
            revoked_at: None,
            last_used_at: None,
        }
    }
}
