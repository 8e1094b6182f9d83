//! What tenants use, counted as jobs come and go, so that an admission reads a few rows however many jobs there are.

use super::engine::Connection;
use crate::domain::clock::UnixMillis;
use crate::domain::job::{Job, JobState, JobStatus};
use crate::domain::limits::{Window, day_of, millis_of};
use crate::domain::model::ModelId;
use crate::domain::usage::UsageRecord;
use crate::store::{Gates, Owner, SecondsGate, StoreError, Tally};

/// Refuses a job that some gate has no room for.
pub(super) async fn pass(connection: &mut Connection, job: &Job, gates: &Gates) -> Result<(), StoreError> {
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
    connection: &mut Connection,
    job: &Job,
    reserve_ms: u64,
) -> Result<(), StoreError> {
    connection.query(
        "insert into tallies (project, model, organization, active, reserved_ms) values ($1, $2, $3, 1, $4)
         on conflict (project, model) do update set active = tallies.active + 1,
 reserved_ms = tallies.reserved_ms + excluded.reserved_ms",
    )
    .bind(job.project.to_string())
    .bind(job.request.spec.model.as_str())
    .bind(job.organization.to_string())
    .bind(reserve_ms as i64).run().await?;
    Ok(())
}

/// Counts a move: who started runs, and who ended is active no more and gives back what was promised.
pub(super) async fn moved(
    connection: &mut Connection,
    before: &JobStatus,
    job: &Job,
) -> Result<(), StoreError> {
    let runs = |state: JobState| i64::from(state == JobState::InProgress);
    let running = runs(job.status.state) - runs(before.state);
    let ended = i64::from(job.status.state.is_terminal()) - i64::from(before.state.is_terminal());
    if running == 0 && ended == 0 {
        return Ok(());
    }
    connection
        .query(
            "update tallies set active = active - $1, running = running + $2,
         reserved_ms = reserved_ms - $1 * (select reserved_ms from jobs where id = $3)
         where project = $4 and model = $5",
        )
        .bind(ended)
        .bind(running)
        .bind(job.id.to_string())
        .bind(job.project.to_string())
        .bind(job.request.spec.model.as_str())
        .run()
        .await?;
    Ok(())
}

/// Adds what was booked to its day.
pub(super) async fn booked(connection: &mut Connection, record: &UsageRecord) -> Result<(), StoreError> {
    let gpu_ms = millis_of(record.usage.gpu_seconds);
    if gpu_ms == 0 {
        return Ok(());
    }
    connection
        .query(
            "insert into spent (project, day, model, organization, gpu_ms) values ($1, $2, $3, $4, $5)
         on conflict (project, day, model) do update set gpu_ms = spent.gpu_ms + excluded.gpu_ms",
        )
        .bind(record.project.to_string())
        .bind(i64::from(day_of(record.at)))
        .bind(record.model.as_str())
        .bind(record.organization.to_string())
        .bind(gpu_ms as i64)
        .run()
        .await?;
    Ok(())
}

/// What the owner's jobs use.
pub(in crate::store) async fn tally(
    connection: &mut Connection,
    owner: Owner,
    at: UnixMillis,
) -> Result<Tally, StoreError> {
    let unended = unended(connection, owner, None).await?;
    let (sql, name) = match owner {
        Owner::Project(project) => (
            "select cast(coalesce(sum(case when day >= $2 then gpu_ms else 0 end), 0) as bigint) as day_ms, \
             cast(coalesce(sum(gpu_ms), 0) as bigint) as month_ms \
             from spent where project = $1 and day >= $3",
            project.to_string(),
        ),
        Owner::Organization(organization) => (
            "select cast(coalesce(sum(case when day >= $2 then gpu_ms else 0 end), 0) as bigint) as day_ms, \
             cast(coalesce(sum(gpu_ms), 0) as bigint) as month_ms \
             from spent where organization = $1 and day >= $3",
            organization.to_string(),
        ),
    };
    let row = connection
        .query(sql)
        .bind(name)
        .bind(i64::from(Window::day(at).first_day))
        .bind(i64::from(Window::month(at).first_day))
        .one()
        .await?;
    Ok(Tally {
        day_ms: row.get::<i64>("day_ms")? as u64,
        month_ms: row.get::<i64>("month_ms")? as u64,
        ..unended
    })
}

/// The part of a tally that is about jobs that have not ended.
async fn unended(
    connection: &mut Connection,
    owner: Owner,
    model: Option<&ModelId>,
) -> Result<Tally, StoreError> {
    let (sql, name) = match owner {
        Owner::Project(project) => (
            "select cast(coalesce(sum(active), 0) as bigint) as active, \
             cast(coalesce(sum(running), 0) as bigint) as running, \
             cast(coalesce(sum(reserved_ms), 0) as bigint) as reserved_ms \
             from tallies where project = $1 and ($2 is null or model = $2)",
            project.to_string(),
        ),
        Owner::Organization(organization) => (
            "select cast(coalesce(sum(active), 0) as bigint) as active, \
             cast(coalesce(sum(running), 0) as bigint) as running, \
             cast(coalesce(sum(reserved_ms), 0) as bigint) as reserved_ms \
             from tallies where organization = $1 and ($2 is null or model = $2)",
            organization.to_string(),
        ),
    };
    let row = connection.query(sql).bind(name).bind(model.map(|model| model.to_string())).one().await?;
    let number = |column: &str| row.get::<i64>(column);
    Ok(Tally {
        active: number("active")? as u32,
        running: number("running")? as u32,
        reserved_ms: number("reserved_ms")? as u64,
        ..Tally::default()
    })
}

/// Charged in the gate's window, or promised.
async fn used(connection: &mut Connection, gate: &SecondsGate) -> Result<u64, StoreError> {
    let (sql, name) = match gate.owner {
        Owner::Project(project) => (
            "select cast(coalesce(sum(gpu_ms), 0) as bigint) as charged \
             from spent where project = $1 and day >= $2 and ($3 is null or model = $3)",
            project.to_string(),
        ),
        Owner::Organization(organization) => (
            "select cast(coalesce(sum(gpu_ms), 0) as bigint) as charged \
             from spent where organization = $1 and day >= $2 and ($3 is null or model = $3)",
            organization.to_string(),
        ),
    };
    let row = connection
        .query(sql)
        .bind(name)
        .bind(i64::from(gate.window.first_day))
        .bind(gate.model.as_ref().map(|model| model.to_string()))
        .one()
        .await?;
    let charged: i64 = row.get("charged")?;
    Ok(charged as u64 + unended(connection, gate.owner, gate.model.as_ref()).await?.reserved_ms)
}
