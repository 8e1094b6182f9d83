//! The outbox, bookings and estimates in SQL.

use super::SqlStore;
use super::engine::Connection;
use super::rows::{all, event, json, to_json};
use crate::domain::estimate::Estimate;
use crate::domain::event::Event;
use crate::domain::id::{EventId, VideoId};
use crate::domain::usage::UsageRecord;
use crate::store::{EstimateStore, OutboxStore, Pending, Reach, StoreError, UsageQuery, UsageStore};

impl OutboxStore for SqlStore {
    fn pending_events(&self, limit: u32) -> Pending<'_, Vec<Event>> {
        Box::pin(async move {
            let mut reader = self.readers.acquire().await?;
            let sql = "select * from events where settled = 0 order by id limit $1";
            let rows = reader.query(sql).bind(i64::from(limit)).all().await?;
            all(&rows, event)
        })
    }

    fn events(&self, reach: Reach, video: VideoId) -> Pending<'_, Vec<Event>> {
        Box::pin(async move {
            let mut reader = self.readers.acquire().await?;
            let rows = reader
                .query("select * from events where video = $1 order by id")
                .bind(video.to_string())
                .all()
                .await?;
            let mut events = all(&rows, event)?;
            events.retain(|event| reach.covers(event.project));
            Ok(events)
        })
    }

    fn settle_event(&self, event: EventId) -> Pending<'_, ()> {
        Box::pin(self.writer.run(move |connection| Box::pin(settle(connection, event))))
    }
}

/// What was kept for the telling is forgotten.
pub(super) async fn settle(connection: &mut Connection, event: EventId) -> Result<(), StoreError> {
    let sql = "update events set settled = 1, facts = null where id = $1";
    connection.query(sql).bind(event.to_string()).run().await?;
    Ok(())
}

impl UsageStore for SqlStore {
    fn usage(&self, query: UsageQuery) -> Pending<'_, Vec<UsageRecord>> {
        Box::pin(async move {
            let mut reader = self.readers.acquire().await?;
            let rows = reader
                .query(
                    "select record from usage where organization = $1 and at >= $2 and at < $3
                 and ($4 is null or project = $4) order by at, video",
                )
                .bind(query.organization.to_string())
                .bind(query.from.0 as i64)
                .bind(query.to.0 as i64)
                .bind(query.project.map(|project| project.to_string()))
                .all()
                .await?;
            all(&rows, |row| json(row, "record"))
        })
    }
}

impl EstimateStore for SqlStore {
    fn estimates(&self) -> Pending<'_, Vec<Estimate>> {
        Box::pin(async move {
            let mut reader = self.readers.acquire().await?;
            let rows = reader.query("select estimate from estimates").all().await?;
            let mut estimates: Vec<Estimate> = all(&rows, |row| json(row, "estimate"))?;
            estimates.sort_by(|one, other| one.shape.cmp(&other.shape));
            Ok(estimates)
        })
    }

    fn save_estimate(&self, estimate: Estimate) -> Pending<'_, ()> {
        Box::pin(self.writer.run(move |connection| {
            Box::pin(async move {
                connection
                    .query(
                        "insert into estimates (shape, estimate) \
                         values ($1, $2) \
                         on conflict (shape) do update set estimate = excluded.estimate",
                    )
                    .bind(to_json(&estimate.shape)?)
                    .bind(to_json(&estimate)?)
                    .run()
                    .await?;
                Ok(())
            })
        }))
    }
}
