//! Answers that may be asked for again, in SQL.

use super::SqlStore;
use super::rows::millis;
use crate::domain::clock::UnixMillis;
use crate::store::{Answer, AnswerKey, AnswerStore, Pending};

impl AnswerStore for SqlStore {
    fn answer(&self, to: AnswerKey, not_before: UnixMillis) -> Pending<'_, Option<Answer>> {
        Box::pin(async move {
            let mut reader = self.readers.acquire().await?;
            let row = reader
                .query(
                    "select fingerprint, answered_at, sealed from answers
                 where owner = $1 and route = $2 and key = $3 and answered_at >= $4",
                )
                .bind(to.owner)
                .bind(to.route)
                .bind(to.key)
                .bind(not_before.0 as i64)
                .optional()
                .await?;
            let Some(row) = row else { return Ok(None) };
            Ok(Some(Answer {
                fingerprint: row.get("fingerprint")?,
                answered_at: millis(&row, "answered_at")?,
                sealed: row.get("sealed")?,
            }))
        })
    }

    fn keep_answer(&self, to: AnswerKey, answer: Answer) -> Pending<'_, ()> {
        Box::pin(self.writer.write(move |connection| {
            Box::pin(async move {
                connection
                    .query(
                        "insert into answers (owner, route, key, fingerprint, answered_at, sealed) \
                         values ($1, $2, $3, $4, $5, $6) \
                         on conflict (owner, route, key) do update set fingerprint = excluded.fingerprint, \
                         answered_at = excluded.answered_at, sealed = excluded.sealed",
                    )
                    .bind(to.owner)
                    .bind(to.route)
                    .bind(to.key)
                    .bind(answer.fingerprint)
                    .bind(answer.answered_at.0 as i64)
                    .bind(answer.sealed)
                    .run()
                    .await?;
                Ok(())
            })
        }))
    }
}
