//! Answers that may be asked for again, in SQL.

use super::Sqlite;
use super::rows::unavailable;
use crate::domain::clock::UnixMillis;
use crate::store::{Answer, AnswerKey, AnswerStore, Pending};

impl AnswerStore for Sqlite {
    fn answer(&self, to: AnswerKey, not_before: UnixMillis) -> Pending<'_, Option<Answer>> {
        Box::pin(async move {
            let found: Option<(String, i64, String)> = sqlx::query_as(
                "select fingerprint, answered_at, sealed from answers
                 where owner = ? and route = ? and key = ? and answered_at >= ?",
            )
            .bind(to.owner)
            .bind(to.route)
            .bind(to.key)
            .bind(not_before.0 as i64)
            .fetch_optional(&self.readers)
            .await
            .map_err(unavailable)?;
            Ok(found.map(|(fingerprint, at, sealed)| Answer {
                fingerprint,
                answered_at: UnixMillis(at as u64),
                sealed,
            }))
        })
    }

    fn keep_answer(&self, to: AnswerKey, answer: Answer) -> Pending<'_, ()> {
        Box::pin(self.writer.write(move |connection| {
            Box::pin(async move {
                sqlx::query("insert or replace into answers values (?, ?, ?, ?, ?, ?)")
                    .bind(to.owner)
                    .bind(to.route)
                    .bind(to.key)
                    .bind(answer.fingerprint)
                    .bind(answer.answered_at.0 as i64)
                    .bind(answer.sealed)
                    .execute(connection)
                    .await
                    .map_err(unavailable)?;
                Ok(())
            })
        }))
    }
}
