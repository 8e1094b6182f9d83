//! Deliveries in SQL.

use super::conditions::Conditions;
use super::engine::Connection;
use super::records::settle;
use super::rows::{all, json, to_json};
use super::{SqlStore, endpoints};
use crate::domain::clock::UnixMillis;
use crate::domain::id::{DeliveryId, EventId, ProjectId};
use crate::domain::webhook::{Attempt, Delivery, MAX_IN_FLIGHT, MAX_OF_PROJECT, Receiver, Verdict};
use crate::store::query::cut;
use crate::store::{Claim, DeliveryPage, DeliveryQuery, DeliveryStore, Pending, StoreError};

/// The due ones whose place in their lane, and then in their project, is within the room that those on their way leave.
const CLAIMABLE: &str = "
    select record from (
        select id, record, next_attempt_at,
            row_number() over (partition by project order by next_attempt_at, id) as turn,
            (select count(*) from deliveries b
             where b.project = own.project and b.leased_until > $1 and b.leased_until > 0) as under_way
        from (
            select d.id, d.record, d.project, d.next_attempt_at, coalesce(e.room, $2) as room,
                row_number() over (partition by d.lane order by d.next_attempt_at, d.id) as place,
                (select count(*) from deliveries b where b.lane = d.lane and b.leased_until > $1) as busy
            from deliveries d left join endpoints e on e.id = d.endpoint
            where d.next_attempt_at <= $1 and d.leased_until <= $1
        ) as own where place + busy <= room
    ) as claimable where turn + under_way <= $4 order by next_attempt_at, id limit $3";

impl DeliveryStore for SqlStore {
    fn add_deliveries(&self, settles: Option<EventId>, deliveries: Vec<Delivery>) -> Pending<'_, ()> {
        Box::pin(self.writer.run(move |connection| {
            Box::pin(async move {
                for delivery in &deliveries {
                    insert(connection, delivery).await?;
                }
                if let Some(event) = settles {
                    settle(connection, event).await?;
                }
                Ok(())
            })
        }))
    }

    fn claim_deliveries(&self, claim: Claim) -> Pending<'_, Vec<Delivery>> {
        Box::pin(async move {
            // Most of the time nothing is due, and a look needs no commit.
            if self.next_due().await?.is_none_or(|due| due > claim.now) {
                return Ok(Vec::new());
            }
            self.writer.run(move |connection| Box::pin(take(connection, claim))).await
        })
    }

    fn record_attempt(
        &self,
        delivery: DeliveryId,
        attempt: Attempt,
        verdict: Verdict,
    ) -> Pending<'_, Delivery> {
        Box::pin(self.writer.run(move |connection| {
            Box::pin(async move {
                let mut delivery = find(connection, delivery).await?.ok_or(StoreError::NotFound)?;
                let endpoint = match delivery.endpoint() {
                    Some(endpoint) => endpoints::find(connection, endpoint).await?,
                    None => None,
                };
                let (first, at) = (delivery.attempts.is_empty(), attempt.at);
                delivery.record(attempt, verdict);
                update(connection, &delivery).await?;
                if let Some(mut endpoint) = endpoint {
                    endpoint.health.learn(verdict, first, at);
                    endpoints::save(connection, &endpoint).await?;
                }
                let free = connection.query("update deliveries set leased_until = 0 where id = $1");
                free.bind(delivery.id.to_string()).run().await?;
                Ok(delivery)
            })
        }))
    }

    fn delivery(&self, project: ProjectId, delivery: DeliveryId) -> Pending<'_, Option<Delivery>> {
        Box::pin(async move {
            let mut reader = self.readers.acquire().await?;
            let row = reader
                .query("select record from deliveries where id = $1 and project = $2")
                .bind(delivery.to_string())
                .bind(project.to_string())
                .optional()
                .await?;
            row.as_ref().map(|row| json(row, "record")).transpose()
        })
    }

    fn deliveries(&self, project: ProjectId, query: DeliveryQuery) -> Pending<'_, DeliveryPage> {
        Box::pin(async move {
            let mut sql = Conditions::new("select record from deliveries where project = ");
            sql.value(project.to_string());
            if let Some(endpoint) = query.endpoint {
                sql.push(" and endpoint = ").value(endpoint.to_string());
            }
            if let Some(video) = query.video {
                sql.push(" and video = ").value(video.to_string());
            }
            if let Some(state) = query.state {
                sql.push(" and state = ").value(state.as_str());
            }
            sql.behind(query.order, query.after);
            sql.page_by_id(query.order, query.limit);
            let mut reader = self.readers.acquire().await?;
            let rows = reader.conditional(sql).all().await?;
            let (deliveries, has_more) = cut(all(&rows, |row| json(row, "record"))?, query.limit);
            Ok(DeliveryPage { deliveries, has_more })
        })
    }

    fn redeliver(&self, project: ProjectId, delivery: DeliveryId, at: UnixMillis) -> Pending<'_, Delivery> {
        Box::pin(self.writer.run(move |connection| {
            Box::pin(async move {
                let found = find(connection, delivery).await?.filter(|found| found.project == project);
                let mut delivery = found.ok_or(StoreError::NotFound)?;
                delivery.redeliver(at);
                update(connection, &delivery).await?;
                Ok(delivery)
            })
        }))
    }

    fn open_deliveries(&self) -> Pending<'_, u64> {
        Box::pin(async move {
            let mut reader = self.readers.acquire().await?;
            let sql = "select count(*) as open from deliveries where next_attempt_at is not null";
            Ok(reader.query(sql).one().await?.get::<i64>("open")? as u64)
        })
    }

    fn forget_deliveries(&self, before: UnixMillis) -> Pending<'_, u64> {
        Box::pin(self.writer.run(move |connection| {
            Box::pin(async move {
                let forget =
                    connection.query("delete from deliveries where created_at < $1").bind(before.0 as i64);
                let done = forget.run().await?;
                Ok(done)
            })
        }))
    }
}

impl SqlStore {
    async fn next_due(&self) -> Result<Option<UnixMillis>, StoreError> {
        let sql = "select min(next_attempt_at) as due from deliveries where next_attempt_at is not null";
        let due: Option<i64> = self.readers.acquire().await?.query(sql).one().await?.get("due")?;
        Ok(due.map(|due| UnixMillis(due as u64)))
    }
}

/// Leases what may be on its way now.
async fn take(connection: &mut Connection, claim: Claim) -> Result<Vec<Delivery>, StoreError> {
    let rows = connection
        .query(CLAIMABLE)
        .bind(claim.now.0 as i64)
        .bind(i64::from(MAX_IN_FLIGHT))
        .bind(i64::from(claim.limit))
        .bind(i64::from(MAX_OF_PROJECT))
        .all()
        .await?;
    let claimed: Vec<Delivery> = all(&rows, |row| json(row, "record"))?;
    for delivery in &claimed {
        connection
            .query("update deliveries set leased_until = $1 where id = $2")
            .bind(claim.lease_until.0 as i64)
            .bind(delivery.id.to_string())
            .run()
            .await?;
    }
    Ok(claimed)
}

async fn find(connection: &mut Connection, id: DeliveryId) -> Result<Option<Delivery>, StoreError> {
    let row = connection
        .query("select record from deliveries where id = $1")
        .bind(id.to_string())
        .optional()
        .await?;
    row.as_ref().map(|row| json(row, "record")).transpose()
}

/// Unless its receiver has the event already.
async fn insert(connection: &mut Connection, delivery: &Delivery) -> Result<(), StoreError> {
    let record = to_json(delivery)?;
    let receiver = match &delivery.to {
        Receiver::Endpoint(endpoint) => endpoint.to_string(),
        Receiver::Callback(url) => url.clone(),
    };
    connection.query(
        "insert into deliveries (id, event, project, video, endpoint, receiver, lane, state, created_at,
         next_attempt_at, record) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) on conflict do nothing",
    )
    .bind(delivery.id.to_string())
    .bind(delivery.event.to_string())
    .bind(delivery.project.to_string())
    .bind(delivery.video.map(|video| video.to_string()))
    .bind(delivery.endpoint().map(|endpoint| endpoint.to_string()))
    .bind(receiver)
    .bind(delivery.lane())
    .bind(delivery.state.as_str())
    .bind(delivery.created_at.0 as i64)
    .bind(delivery.next_attempt_at.map(|at| at.0 as i64))
    .bind(record).run().await?;
    Ok(())
}

async fn update(connection: &mut Connection, delivery: &Delivery) -> Result<(), StoreError> {
    let record = to_json(delivery)?;
    connection
        .query("update deliveries set state = $1, next_attempt_at = $2, record = $3 where id = $4")
        .bind(delivery.state.as_str())
        .bind(delivery.next_attempt_at.map(|at| at.0 as i64))
        .bind(record)
        .bind(delivery.id.to_string())
        .run()
        .await?;
    Ok(())
}
