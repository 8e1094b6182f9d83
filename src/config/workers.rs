//! `[workers]`: the processes that own the devices.

use std::time::Duration;

use super::secret::Secret;
use super::setting::Setting;
use super::sources::Section;
use crate::domain::device::DeviceName;

/// Which devices get a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Devices {
    /// Every GPU that this build can use, or else the CPU.
    Auto,
    /// These; none at all makes a server that waits for remote workers.
    These(Vec<DeviceName>),
}

/// Worker processes of this machine and those that join over the network.
#[derive(Debug, Clone)]
pub struct Workers {
    /// `auto`, `none`, or a list of `cpu` and `cuda:<n>`. `WANSERVE_WORKERS_DEVICES`, default `auto`.
    pub devices: Devices,
    /// Lets workers of other machines join over the main listener. `WANSERVE_WORKERS_TOKEN`, default none: nobody may.
    pub token: Option<Secret>,
    /// How long a stop waits for running jobs before it hands them back. `WANSERVE_WORKERS_DRAIN_SECONDS`,
    /// default 25: under the 30 s that service managers give before they kill.
    pub drain: Duration,
    /// Bytes of device memory that a worker may take, its CUDA context included; on the CPU bytes of main memory for
    /// models and what they compute in. `WANSERVE_WORKERS_MEMORY_LIMIT`, default none: all of a GPU's, half of the
    /// machine's.
    pub memory_limit: Option<u64>,
    /// Bytes of main memory, pinned, in which a worker keeps weights that left its GPU, so that they come back within a
    /// second. `WANSERVE_WORKERS_HOST_MEMORY`, default none: half of the machine's, shared by its GPUs. 0 keeps nothing.
    pub host_memory: Option<u64>,
}

impl Workers {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self {
            devices: section.field("devices", Devices::Auto),
            token: section.field("token", None),
            drain: section.field("drain_seconds", Duration::from_secs(25)),
            memory_limit: section.field("memory_limit", None),
            host_memory: section.field("host_memory", None).map(|Kept(bytes)| bytes),
        }
    }
}

/// Bytes of which there may be none.
struct Kept(u64);

impl Setting for Kept {
    fn parse(text: &str) -> Result<Self, String> {
        if text == "0" { Ok(Self(0)) } else { u64::parse(text).map(Self) }
    }

    fn show(&self) -> String {
        self.0.show()
    }
}

impl Setting for DeviceName {
    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|why| format!("{text:?}: {why}"))
    }

    fn show(&self) -> String {
        format!("`{self}`")
    }
}

impl Setting for Devices {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "none" => Ok(Self::These(Vec::new())),
            list => Vec::parse(list).and_then(Self::distinct),
        }
    }

    fn parse_list(texts: &[String]) -> Result<Self, String> {
        Vec::parse_list(texts).and_then(Self::distinct)
    }

    fn show(&self) -> String {
        match self {
            Self::Auto => "`auto`".to_owned(),
            Self::These(devices) if devices.is_empty() => "`none`".to_owned(),
            Self::These(devices) => devices.show(),
        }
    }
}

impl Devices {
    /// Two workers on one device would fight for its memory.
    fn distinct(devices: Vec<DeviceName>) -> Result<Self, String> {
        let mut seen = std::collections::HashSet::new();
        match devices.iter().find(|device| !seen.insert(**device)) {
            Some(twice) => Err(format!("{twice} is named twice")),
            None => Ok(Self::These(devices)),
        }
    }
}
