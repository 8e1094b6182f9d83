//! Every setting of the program: one struct a section, read from a file, the environment and flags (the later wins).
//! The only reader of the environment; never opens a socket, a database or a model.
//!
//! A field `x` of section `s` is `[s] x = …` in the file and `WANSERVE_S_X` in the environment.
//! All mistakes are reported at once.

mod secret;
mod setting;
mod sources;

mod auth;
mod content;
mod cors;
mod data;
mod jobs;
mod limits;
mod log;
mod metrics;
mod models;
mod outgoing;
mod server;
mod storage;
mod store;
mod workers;

pub use auth::Auth;
pub use content::{Content, Delivery};
pub use cors::{Cors, Origin};
pub use data::Data;
pub use jobs::Jobs;
pub use limits::{Limit, Limits};
pub use log::{Log, LogFormat};
pub use metrics::Metrics;
pub use models::{LinearFormat, Models};
pub use outgoing::Outgoing;
pub use secret::Secret;
pub use server::Server;
pub use sources::{ConfigError, Flags, Sources};
pub use storage::{Credentials, Storage, StorageKind};
pub use store::Store;
pub use workers::{Devices, Workers};

/// The whole configuration, checked.
#[derive(Debug, Clone)]
pub struct Config {
    pub data: Data,
    pub server: Server,
    pub auth: Auth,
    pub cors: Cors,
    pub store: Store,
    pub storage: Storage,
    pub content: Content,
    pub models: Models,
    pub workers: Workers,
    pub jobs: Jobs,
    pub outgoing: Outgoing,
    pub limits: Limits,
    pub metrics: Metrics,
    pub log: Log,
    /// Our variables in the environment, settings or not, and those of a bucket's credentials. They may hold secrets, so
    /// child processes do not get them.
    pub variables: Vec<String>,
    /// What looks wrong but must not stop the start, a sentence each.
    pub warnings: Vec<String>,
}

impl Config {
    /// Reads every section. Fails with all mistakes together.
    pub fn load(sources: Sources) -> Result<Self, ConfigError> {
        let mut reader = sources.open()?;
        let config = Self {
            data: reader.section("data", Data::read),
            server: reader.section("server", Server::read),
            auth: reader.section("auth", Auth::read),
            cors: reader.section("cors", Cors::read),
            store: reader.section("store", Store::read),
            storage: reader.section("storage", Storage::read),
            content: reader.section("content", Content::read),
            models: reader.section("models", Models::read),
            workers: reader.section("workers", Workers::read),
            jobs: reader.section("jobs", Jobs::read),
            outgoing: reader.section("outgoing", Outgoing::read),
            limits: reader.section("limits", Limits::read),
            metrics: reader.section("metrics", Metrics::read),
            log: reader.section("log", Log::read),
            variables: reader.variables(),
            warnings: Vec::new(),
        };
        let warnings = reader.finish()?;
        Ok(Self { warnings, ..config })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::device::DeviceName;

    fn environment(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn flags_win_over_the_environment_and_that_over_the_file() {
        let sources = Sources::default()
            .with_file("config.toml", "[server]\nlisten = \"127.0.0.1:1\"\nadmin_listen = \"127.0.0.1:2\"\n[workers]\ndevices = [\"cpu\", \"cuda:1\"]")
            .with_environment(environment(&[
                ("WANSERVE_SERVER_LISTEN", "127.0.0.1:3"),
                ("WANSERVE_DATA_DIR", "/tmp/here"),
                ("HOME", "/root"),
            ]))
            .with_flags(Flags::default().set("server.listen", Some("127.0.0.1:4".to_owned())));
        let config = Config::load(sources).unwrap();
        assert_eq!(config.server.listen.port(), 4);
        assert_eq!(config.server.admin_listen.port(), 2);
        assert_eq!(config.data.dir, std::path::Path::new("/tmp/here"));
        assert_eq!(config.workers.devices, Devices::These(vec![DeviceName::Cpu, DeviceName::Cuda(1)]));
    }

    #[test]
    fn all_mistakes_come_at_once() {
        let sources = Sources::default()
            .with_file(
                "config.toml",
                "[server]\nlisten = 8080\nlisen = \"x\"\n[nonsense]\na = 1\n[jobs]\nmax_attempts = 0",
            )
            .with_environment(environment(&[
                ("WANSERVE_LOG_FORMAT", "xml"),
                ("WANSERVE_JOBS_EXECUTION_TIMEOUT_SECONDS", "-3"),
            ]));
        let text = Config::load(sources).unwrap_err().to_string();
        for part in [
            "config.toml: server.listen: \"8080\" is not an address and port",
            "config.toml: server.lisen: no such setting",
            "config.toml: nonsense: no such section",
            "config.toml: jobs.max_attempts",
            "WANSERVE_LOG_FORMAT: \"xml\"",
            "WANSERVE_JOBS_EXECUTION_TIMEOUT_SECONDS: \"-3\"",
        ] {
            assert!(text.contains(part), "{part} is not in: {text}");
        }
    }

    #[test]
    fn an_unknown_variable_is_a_warning_because_clusters_inject_some() {
        let sources = Sources::default().with_environment(environment(&[
            ("WANSERVE_SERVICE_HOST", "10.0.0.1"),
            ("WANSERVE_CONFIG", "x.toml"),
        ]));
        let warnings = Config::load(sources).unwrap().warnings;
        assert_eq!(warnings, ["WANSERVE_SERVICE_HOST is not a setting"]);
    }

    #[test]
    fn main_memory_for_what_left_a_gpu_may_be_none() {
        let host = |text: &str| {
            let sources =
                Sources::default().with_environment(environment(&[("WANSERVE_WORKERS_HOST_MEMORY", text)]));
            Config::load(sources).map(|config| config.workers.host_memory)
        };
        assert_eq!([host("0").unwrap(), host("64GB").unwrap()], [Some(0), Some(64_000_000_000)]);
        assert!(host("none").unwrap_err().to_string().contains("number of bytes"));
    }

    #[test]
    fn secrets_are_never_shown() {
        let sources = Sources::default()
            .with_environment(environment(&[("WANSERVE_AUTH_PEPPER", "0123456789abcdef0123456789abcdef")]));
        let config = Config::load(sources).unwrap();
        let shown = format!("{config:?}");
        assert!(shown.contains("***") && !shown.contains("0123456789abcdef"));
        let short = Sources::default().with_environment(environment(&[("WANSERVE_AUTH_PEPPER", "tooshort")]));
        assert!(!Config::load(short).unwrap_err().to_string().contains("tooshort"));
    }

    #[test]
    fn a_database_is_postgresql_or_a_file_and_its_address_is_not_shown() {
        let load = |pairs: &[(&str, &str)]| {
            Config::load(Sources::default().with_environment(environment(pairs))).map(|config| config.store)
        };
        let url = ("WANSERVE_STORE_URL", "postgres://me:pass-word@host/db");
        let store = load(&[url, ("WANSERVE_STORE_STANDBY", "true")]).unwrap();
        assert!(store.standby && store.url.is_some() && !format!("{store:?}").contains("pass-word"));
        let other = load(&[("WANSERVE_STORE_URL", "mysql://me:pass-word@host/db")]).unwrap_err().to_string();
        assert!(other.contains("postgres://") && !other.contains("pass-word"), "{other}");
        assert!(load(&[("WANSERVE_STORE_STANDBY", "true")]).unwrap_err().to_string().contains("needs a url"));
    }

    #[test]
    fn a_broken_file_names_the_line_and_not_its_content() {
        let sources = Sources::default().with_file("config.toml", "[auth]\npepper = secret-without-quotes");
        let text = Config::load(sources).unwrap_err().to_string();
        assert!(text.contains("config.toml: line 2") && !text.contains("without-quotes"), "{text}");
    }

    #[test]
    fn the_manual_names_every_setting_and_its_default() {
        let manual = include_str!("../../docs/configuration.md");
        let mut reader = Sources::default().open().unwrap();
        reader.section("data", Data::read);
        reader.section("server", Server::read);
        reader.section("auth", Auth::read);
        reader.section("cors", Cors::read);
        reader.section("store", Store::read);
        reader.section("storage", Storage::read);
        reader.section("content", Content::read);
        reader.section("models", Models::read);
        reader.section("workers", Workers::read);
        reader.section("jobs", Jobs::read);
        reader.section("outgoing", Outgoing::read);
        reader.section("limits", Limits::read);
        reader.section("metrics", Metrics::read);
        reader.section("log", Log::read);
        for (variable, default) in reader.settings() {
            let row = format!("| `{variable}` | {default} |");
            assert!(manual.contains(&row), "docs/configuration.md has no row beginning {row}");
        }
    }
}
