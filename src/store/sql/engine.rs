//! The two engines behind one set of statements: a connection, a statement with its values, a row. Knows nothing of what
//! is stored, and never which engine can do what: `dialect` does.

use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{
    AssertSqlSafe, Decode, Encode, PgConnection, PgPool, Postgres, Row as _, Sqlite, SqliteConnection,
    SqlitePool, Type,
};

use super::conditions::{Conditions, Value};
use crate::store::StoreError;

/// The connections that read.
#[derive(Debug)]
pub(in crate::store) enum Readers {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// A connection to either engine.
#[derive(Debug)]
pub(in crate::store) enum Connection {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

/// Text with `$1`, `$2`, … and the values for them, on a connection. Both engines keep it prepared.
pub(in crate::store) enum Statement<'c> {
    Sqlite(&'c mut SqliteConnection, sqlx::query::Query<'c, Sqlite, SqliteArguments>),
    Postgres(&'c mut PgConnection, sqlx::query::Query<'c, Postgres, PgArguments>),
}

/// A row of an answer.
pub(in crate::store) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// The database failed; whatever was asked has not happened.
pub(in crate::store) fn unavailable(error: sqlx::Error) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

/// The network may be gone without a word; the server itself gives up on a statement a second before.
const ANSWER_PATIENCE: Duration = Duration::from_secs(6);

async fn answered<T>(answer: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    match tokio::time::timeout(ANSWER_PATIENCE, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(sqlx::Error::Protocol("PostgreSQL does not answer".to_owned())),
    }
}

impl Readers {
    pub(super) async fn acquire(&self) -> Result<Connection, StoreError> {
        match self {
            Self::Sqlite(pool) => pool.acquire().await.map(Connection::Sqlite),
            Self::Postgres(pool) => pool.acquire().await.map(Connection::Postgres),
        }
        .map_err(unavailable)
    }
}

impl Connection {
    pub(in crate::store) fn query(&mut self, sql: &'static str) -> Statement<'_> {
        match self {
            Self::Sqlite(connection) => Statement::Sqlite(&mut *connection, sqlx::query(sql)),
            Self::Postgres(connection) => Statement::Postgres(&mut *connection, sqlx::query(sql)),
        }
    }

    /// A statement that was put together; every value in it is bound, none is part of the text.
    pub(super) fn conditional(&mut self, sql: Conditions) -> Statement<'_> {
        let Conditions { text, values, .. } = sql;
        let text = AssertSqlSafe(text);
        let statement = match self {
            Self::Sqlite(connection) => Statement::Sqlite(&mut *connection, sqlx::query(text)),
            Self::Postgres(connection) => Statement::Postgres(&mut *connection, sqlx::query(text)),
        };
        values.into_iter().fold(statement, |statement, value| match value {
            Value::Text(text) => statement.bind(text),
            Value::Number(number) => statement.bind(number),
        })
    }

    /// Ends it in good order.
    pub(in crate::store) async fn close(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(connection) => connection.close().await,
            Self::Postgres(connection) => connection.close().await,
        }
        .map_err(unavailable)
    }
}

impl<'c> Statement<'c> {
    /// The value of the next `$n`: text or a number of 64 bits, or neither.
    pub(in crate::store) fn bind<'t, T>(self, value: T) -> Self
    where
        T: Encode<'t, Sqlite> + Type<Sqlite> + Encode<'t, Postgres> + Type<Postgres>,
    {
        match self {
            Self::Sqlite(connection, query) => Self::Sqlite(connection, query.bind(value)),
            Self::Postgres(connection, query) => Self::Postgres(connection, query.bind(value)),
        }
    }

    /// Answers how many rows it changed.
    pub(in crate::store) async fn run(self) -> Result<u64, StoreError> {
        match self {
            Self::Sqlite(connection, query) => {
                query.execute(connection).await.map(|done| done.rows_affected())
            }
            Self::Postgres(connection, query) => {
                answered(query.execute(connection)).await.map(|done| done.rows_affected())
            }
        }
        .map_err(unavailable)
    }

    pub(in crate::store) async fn all(self) -> Result<Vec<Row>, StoreError> {
        match self {
            Self::Sqlite(connection, query) => {
                let rows = query.fetch_all(connection).await.map_err(unavailable)?;
                Ok(rows.into_iter().map(Row::Sqlite).collect())
            }
            Self::Postgres(connection, query) => {
                let rows = answered(query.fetch_all(connection)).await.map_err(unavailable)?;
                Ok(rows.into_iter().map(Row::Postgres).collect())
            }
        }
    }

    pub(in crate::store) async fn optional(self) -> Result<Option<Row>, StoreError> {
        match self {
            Self::Sqlite(connection, query) => {
                query.fetch_optional(connection).await.map(|row| row.map(Row::Sqlite))
            }
            Self::Postgres(connection, query) => {
                answered(query.fetch_optional(connection)).await.map(|row| row.map(Row::Postgres))
            }
        }
        .map_err(unavailable)
    }

    pub(in crate::store) async fn one(self) -> Result<Row, StoreError> {
        match self {
            Self::Sqlite(connection, query) => query.fetch_one(connection).await.map(Row::Sqlite),
            Self::Postgres(connection, query) => {
                answered(query.fetch_one(connection)).await.map(Row::Postgres)
            }
        }
        .map_err(unavailable)
    }
}

impl Row {
    /// The value of a column: text or a number of 64 bits, or neither.
    pub(in crate::store) fn get<'r, T>(&'r self, column: &str) -> Result<T, StoreError>
    where
        T: Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres>,
    {
        match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        }
        .map_err(unavailable)
    }
}
