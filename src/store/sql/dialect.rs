//! Where the two engines say the same thing in different words. All else is one text for both.

use super::conditions::Conditions;
use super::engine::Connection;

/// The request as PostgreSQL can look into it: its text cannot hold the character NUL, which JSON can.
const REQUEST: &str = r"cast(regexp_replace(request, '(?<!\\)((?:\\\\)*)\\u0000', '\1\ufffd', 'g') as jsonb)";

/// What stands for that character then.
const NUL: &str = "\u{fffd}";

/// Which words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Sqlite,
    Postgres,
}

impl Connection {
    pub(super) fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
        }
    }
}

impl Dialect {
    /// The job of a project, by the index of both, so that what belongs to another project is not even read.
    pub(super) fn job_of_project(self) -> &'static str {
        match self {
            Self::Sqlite => "select * from jobs indexed by jobs_of_project where project = $1 and id = $2",
            // Equal in words that the index of the id alone has no use for.
            Self::Postgres => {
                "select * from jobs where (project, id) >= ($1, $2) and (project, id) <= ($1, $2)"
            }
        }
    }

    /// The request's seed is that one.
    pub(super) fn seed_is(self, sql: &mut Conditions, seed: u32) {
        match self {
            Self::Sqlite => sql.push(" and json_extract(request, '$.spec.seed') = ").value(i64::from(seed)),
            Self::Postgres => sql
                .push(" and cast(")
                .push(REQUEST)
                .push(" #>> '{spec,seed}' as bigint) = ")
                .value(i64::from(seed)),
        };
    }

    /// The request's metadata has that pair.
    pub(super) fn metadata_has(self, sql: &mut Conditions, name: &str, value: &str) {
        match self {
            Self::Sqlite => sql
                .push(" and exists (select 1 from json_each(request, '$.metadata') where key = ")
                .value(name)
                .push(" and value = ")
                .value(value)
                .push(")"),
            Self::Postgres => sql
                .push(" and ")
                .push(REQUEST)
                .push(" -> 'metadata' ->> ")
                .value(name.replace('\0', NUL))
                .push(" = ")
                .value(value.replace('\0', NUL)),
        };
    }
}
