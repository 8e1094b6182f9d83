//! Identifiers: one type a noun, so that two ids cannot be swapped.
//! On the wire an id is `<prefix>_` and the 32 lower-case hex digits of a UUIDv7, which sorts by creation time.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// Random bytes that a new id needs.
pub const ID_RANDOM_BYTES: usize = 10;

/// A text that is not an id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a {kind} id")]
pub struct BadId {
    kind: &'static str,
}

macro_rules! ids {
    ($($(#[doc = $doc:literal])+ $name:ident = $prefix:literal;)+) => {$(
        $(#[doc = $doc])+
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// What stands before the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// An id made at `unix_millis` with fresh random bytes; both are handed in.
            pub fn new(unix_millis: u64, random: [u8; ID_RANDOM_BYTES]) -> Self {
                Self(uuid::Builder::from_unix_timestamp_millis(unix_millis, &random).into_uuid())
            }

            /// Milliseconds since the Unix epoch at which the id was made.
            pub fn unix_millis(&self) -> u64 {
                let bytes = self.0.as_bytes();
                bytes[..6].iter().fold(0, |millis, byte| (millis << 8) | u64::from(*byte))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(out, concat!($prefix, "_{}"), self.0.simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, out)
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            /// Strict: the exact prefix, 32 lower-case hex digits, UUID version 7.
            fn from_str(text: &str) -> Result<Self, BadId> {
                parse(text, $prefix).map(Self).ok_or(BadId { kind: $prefix })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
                out.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
                String::deserialize(input)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )+};
}

ids! {
    /// A video job.
    VideoId = "video";
    /// An uploaded file.
    FileId = "file";
    /// An event: of a job, as webhooks carry it, or of an audit log.
    EventId = "evt";
    /// A webhook endpoint.
    EndpointId = "we";
    /// One delivery of an event to an endpoint.
    DeliveryId = "wd";
    /// An organisation: billing, quota, suspension.
    OrganizationId = "org";
    /// A project: the unit of isolation.
    ProjectId = "proj";
    /// A service account of a project: what a key belongs to.
    ServiceAccountId = "svc_acct";
    /// An API key (its record, not its secret).
    KeyId = "key";
    /// A key that signs tokens.
    SigningKeyId = "jwk";
    /// An HTTP request, as `x-request-id` says it.
    RequestId = "req";
    /// A worker process.
    WorkerId = "wk";
}

fn parse(text: &str, prefix: &str) -> Option<Uuid> {
    let hex = text.strip_prefix(prefix)?.strip_prefix('_')?;
    let plain = hex.len() == 32 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let uuid = plain.then(|| Uuid::try_parse(hex).ok()).flatten()?;
    (uuid.get_version_num() == 7).then_some(uuid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text_form_and_sorts_by_time() {
        let early = VideoId::new(1_767_225_600_000, [7; ID_RANDOM_BYTES]);
        let late = VideoId::new(1_767_225_600_001, [0; ID_RANDOM_BYTES]);
        assert!(early < late);
        assert_eq!(early.to_string().parse(), Ok(early));
        assert_eq!(early.unix_millis(), 1_767_225_600_000);
        assert!(early.to_string().starts_with("video_019b76da"));
    }

    #[test]
    fn only_the_canonical_form_is_an_id() {
        let good = VideoId::new(1, [1; ID_RANDOM_BYTES]).to_string();
        for bad in [
            good.to_uppercase(),
            good.replace("video_", "file_"),
            good[..good.len() - 1].to_owned(),
            format!("{good}0"),
            "video_..%2Fx".to_owned(),
            good.replacen("_0000000000017", "_0000000000014", 1),
        ] {
            assert!(bad.parse::<VideoId>().is_err(), "{bad}");
        }
    }
}
