//! The outbox, bookings and estimates in SQL.

use super::Sqlite;
use super::rows::{all, event, json, to_json, unavailable};
use crate::domain::estimate::Estimate;
use crate::domain::event::Event;
use crate::domain::id::{EventId, VideoId};
use crate::domain::usage::UsageRecord;
use crate::store::{EstimateStore, OutboxStore, Pending, Reach, UsageQuery, UsageStore};

impl OutboxStore for Sqlite {
    fn pending_events(&self, limit: u32) -> Pending<'_, Vec<Event>> {
        Box::pin(async move {
            let sql = "select * from events where settled = 0 order by id limit ?";
            let rows = sqlx::query(sql).bind(limit).fetch_all(&self.readers).await.map_err(unavailable)?;
            all(&rows, event)
        })
    }

    fn events(&self, reach: Reach, video: VideoId) -> Pending<'_, Vec<Event>> {
        Box::pin(async move {
            let rows = sqlx::query("select * from events where video = ? order by id")
                .bind(video.to_string())
                .fetch_all(&self.readers)
                .await
                .map_err(unavailable)?;
            let mut events = all(&rows, event)?;
            events.retain(|event| reach.covers(event.project));
            Ok(events)
        })
    }

    fn settle_event(&self, event: EventId) -> Pending<'_, ()> {
        Box::pin(self.writer.run(move |connection| {
            Box::pin(async move {
                sqlx::query("update events set settled = 1 where id = ?")
                    .bind(event.to_string())
                    .execute(connection)
                    .await
                    .map_err(unavailable)?;
                Ok(())
            })
        }))
    }
}

impl UsageStore for Sqlite {
    fn usage(&self, query: UsageQuery) -> Pending<'_, Vec<UsageRecord>> {
        Box::pin(async move {
            let rows = sqlx::query(
                "select record from usage where organization = ?1 and at >= ?2 and at < ?3
                 and (?4 is null or project = ?4) order by at, video",
            )
            .bind(query.organization.to_string())
            .bind(query.from.0 as i64)
            .bind(query.to.0 as i64)
            .bind(query.project.map(|project| project.to_string()))
            .fetch_all(&self.readers)
            .await
            .map_err(unavailable)?;
            all(&rows, |row| json(row, "record"))
        })
    }
}

impl EstimateStore for Sqlite {
    fn estimates(&self) -> Pending<'_, Vec<Estimate>> {
        Box::pin(async move {
            let rows = sqlx::query("select estimate from estimates").fetch_all(&self.readers).await;
            let mut estimates: Vec<Estimate> = all(&rows.map_err(unavailable)?, |row| json(row, "estimate"))?;
            estimates.sort_by(|one, other| one.shape.cmp(&other.shape));
            Ok(estimates)
        })
    }

    fn save_estimate(&self, estimate: Estimate) -> Pending<'_, ()> {
        Box::pin(self.writer.run(move |connection| {
            Box::pin(async move {
                sqlx::query("insert or replace into estimates values (?, ?)")
                    .bind(to_json(&estimate.shape)?)
                    .bind(to_json(&estimate)?)
                    .execute(connection)
                    .await
                    .map_err(unavailable)?;
                Ok(())
            })
        }))
    }
}
