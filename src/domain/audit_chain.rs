//! The audit log as chains: an entry is sealed together with the seal of the entry before it, so that none can be changed,
//! taken out or moved without breaking the seals of all that follow. Reads and writes nothing.
//!
//! There is a chain for each project, for each organisation and for the installation, so that a store with many writers
//! need never let one tenant wait for another: whoever admits a job has to lock the counters of its project anyway.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::audit::AuditEntry;
use super::id::{OrganizationId, ProjectId};

/// Sets this digest apart from all others.
const PURPOSE: &[u8] = b"wanserve audit v1";

/// The name of the chain that belongs to no tenant.
const INSTALLATION: &str = "installation";

/// Which chain an entry belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AuditChain {
    Installation,
    Organization(OrganizationId),
    Project(ProjectId),
}

/// What an entry is sealed with: a digest of the seal before it, its place and its record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Seal([u8; 32]);

/// The last entry of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainHead {
    #[serde(serialize_with = "as_text", deserialize_with = "from_text")]
    pub chain: AuditChain,
    /// Its place, from 1; 0 where there is none yet.
    pub number: u64,
    #[serde(serialize_with = "as_text", deserialize_with = "from_text")]
    pub seal: Seal,
}

/// An entry as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainRow {
    pub number: u64,
    pub seal: String,
    /// The entry; these very bytes are sealed.
    pub record: String,
    pub columns: AuditColumns,
}

/// What an entry is found by. It stands beside the record and must say the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditColumns {
    pub id: String,
    pub organization: Option<String>,
    pub project: Option<String>,
    pub kind: String,
    pub at: u64,
}

/// Where a chain is broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainFault {
    #[error("entry {0} is missing or out of its place")]
    Missing(u64),
    #[error("entry {0} is not what was sealed")]
    Changed(u64),
    #[error("entry {0} is filed under something else than it says")]
    Misfiled(u64),
    #[error("{written} entries were written and the last is {last}")]
    CutOff { written: u64, last: u64 },
    #[error("entry {0} is another one than was known before")]
    Rewritten(u64),
}

impl AuditChain {
    /// That of the entry.
    pub fn of(entry: &AuditEntry) -> Self {
        match (entry.project, entry.organization) {
            (Some(project), _) => Self::Project(project),
            (None, Some(organization)) => Self::Organization(organization),
            (None, None) => Self::Installation,
        }
    }
}

impl fmt::Display for AuditChain {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Installation => out.write_str(INSTALLATION),
            Self::Organization(organization) => organization.fmt(out),
            Self::Project(project) => project.fmt(out),
        }
    }
}

/// A text that names no chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no chain is called that")]
pub struct BadChain;

impl FromStr for AuditChain {
    type Err = BadChain;

    fn from_str(text: &str) -> Result<Self, BadChain> {
        let organization = || text.parse().map(Self::Organization);
        let project = || text.parse().map(Self::Project);
        if text == INSTALLATION {
            return Ok(Self::Installation);
        }
        organization().or_else(|_| project()).map_err(|_| BadChain)
    }
}

impl Seal {
    /// What stands before the first entry.
    const NOTHING: Self = Self([0; 32]);

    fn next(self, chain: AuditChain, number: u64, record: &str) -> Self {
        let digest = Sha256::new()
            .chain_update(PURPOSE)
            .chain_update(self.0)
            .chain_update(chain.to_string())
            .chain_update(number.to_be_bytes())
            .chain_update(record);
        Self(digest.finalize().into())
    }
}

impl fmt::Display for Seal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// A text that is no seal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not 64 lower-case hex digits")]
pub struct BadSeal;

impl FromStr for Seal {
    type Err = BadSeal;

    fn from_str(text: &str) -> Result<Self, BadSeal> {
        let plain = text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| BadSeal)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| BadSeal)?;
        }
        if plain { Ok(Self(bytes)) } else { Err(BadSeal) }
    }
}

impl ChainHead {
    /// Before the first entry.
    pub fn start(chain: AuditChain) -> Self {
        Self { chain, number: 0, seal: Seal::NOTHING }
    }

    /// After one more entry.
    #[must_use]
    pub fn grown_by(self, record: &str) -> Self {
        let number = self.number + 1;
        Self { number, seal: self.seal.next(self.chain, number, record), ..self }
    }

    /// After that row, if it is the next one and whole.
    pub fn followed_by(self, row: &ChainRow) -> Result<Self, ChainFault> {
        let next = self.grown_by(&row.record);
        if row.number != next.number {
            return Err(ChainFault::Missing(next.number));
        }
        if row.seal != next.seal.to_string() {
            return Err(ChainFault::Changed(next.number));
        }
        match serde_json::from_str::<AuditEntry>(&row.record) {
            Ok(entry) if AuditColumns::of(&entry) == row.columns && AuditChain::of(&entry) == self.chain => {
                Ok(next)
            }
            Ok(_) | Err(_) => Err(ChainFault::Misfiled(next.number)),
        }
    }
}

impl AuditColumns {
    pub fn of(entry: &AuditEntry) -> Self {
        Self {
            id: entry.id.to_string(),
            organization: entry.organization.map(|organization| organization.to_string()),
            project: entry.project.map(|project| project.to_string()),
            kind: entry.kind.as_str().to_owned(),
            at: entry.at.0,
        }
    }
}

fn as_text<T: fmt::Display, S: Serializer>(value: &T, out: S) -> Result<S::Ok, S::Error> {
    out.collect_str(value)
}

fn from_text<'de, T: FromStr<Err: fmt::Display>, D: Deserializer<'de>>(input: D) -> Result<T, D::Error> {
    String::deserialize(input)?.parse().map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::audit::{Actor, AuditKind};
    use crate::domain::clock::UnixMillis;
    use crate::domain::id::{EventId, ID_RANDOM_BYTES};

    fn entry(number: u64) -> AuditEntry {
        AuditEntry {
            id: EventId::new(number, [0; ID_RANDOM_BYTES]),
            organization: Some(OrganizationId::new(1, [0; ID_RANDOM_BYTES])),
            project: Some(ProjectId::new(1, [0; ID_RANDOM_BYTES])),
            kind: AuditKind::VideoCreated,
            actor: Actor::Server,
            subject: number.to_string(),
            detail: None,
            at: UnixMillis(number),
        }
    }

    fn chain(length: u64) -> Vec<ChainRow> {
        let mut head = ChainHead::start(AuditChain::of(&entry(1)));
        let row = |number| {
            let record = serde_json::to_string(&entry(number)).unwrap();
            head = head.grown_by(&record);
            ChainRow {
                number,
                seal: head.seal.to_string(),
                record,
                columns: AuditColumns::of(&entry(number)),
            }
        };
        (1..=length).map(row).collect()
    }

    fn follow(rows: &[ChainRow]) -> Result<ChainHead, ChainFault> {
        let start = ChainHead::start(AuditChain::of(&entry(1)));
        rows.iter().try_fold(start, ChainHead::followed_by)
    }

    #[test]
    fn a_whole_chain_is_followed_to_its_head() {
        let rows = chain(5);
        let head = follow(&rows).unwrap();
        assert_eq!((head.number, head.seal.to_string()), (5, rows[4].seal.clone()));
        assert_eq!(head.seal.to_string().parse(), Ok(head.seal));
        assert_eq!(head.chain.to_string().parse(), Ok(head.chain));
    }

    #[test]
    fn what_was_changed_taken_out_or_moved_is_found() {
        let broken = |spoil: &dyn Fn(&mut Vec<ChainRow>)| {
            let mut rows = chain(5);
            spoil(&mut rows);
            follow(&rows).unwrap_err()
        };
        assert_eq!(
            broken(&|rows| rows[2].record = rows[2].record.replace("\"3\"", "\"4\"")),
            ChainFault::Changed(3)
        );
        assert_eq!(broken(&|rows| rows[2].seal = rows[1].seal.clone()), ChainFault::Changed(3));
        assert_eq!(broken(&|rows| drop(rows.remove(2))), ChainFault::Missing(3));
        assert_eq!(broken(&|rows| rows.swap(1, 3)), ChainFault::Missing(2));
        assert_eq!(broken(&|rows| rows[4].columns.kind = "x".to_owned()), ChainFault::Misfiled(5));
        let renumbered = |rows: &mut Vec<ChainRow>| {
            rows.swap(1, 3);
            (rows[1].number, rows[3].number) = (2, 4);
        };
        assert_eq!(broken(&renumbered), ChainFault::Changed(2));
        let taken_out = |rows: &mut Vec<ChainRow>| {
            rows.remove(2);
            (rows[2].number, rows[3].number) = (3, 4);
        };
        assert_eq!(broken(&taken_out), ChainFault::Changed(3));
    }
}
