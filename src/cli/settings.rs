//! The flags that stand for settings, shared by every subcommand that reads the configuration.

use std::path::PathBuf;

use anyhow::Result;

use crate::config::{Config, Flags, Sources};

/// Settings on the command line; they win over the environment and the file.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct SettingsArgs {
    /// Configuration file (TOML); also WANSERVE_CONFIG
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder for database, files and secrets [default: ./data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Address of the API, health, documents and metrics [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// Address of the operator API [default: 127.0.0.1:8081]
    #[arg(long, value_name = "ADDRESS:PORT")]
    admin_listen: Option<String>,
    /// Folders searched for models, separated by commas [default: models]
    #[arg(long, value_name = "DIRS")]
    models_dir: Option<String>,
    /// Models to serve, best first, separated by commas [default: wan-tiny]
    #[arg(long, value_name = "IDS")]
    models: Option<String>,
    /// A worker process each: auto, none, or a list of cpu and cuda:<n> [default: auto]
    #[arg(long, value_name = "DEVICES")]
    workers: Option<String>,
    /// Number format of linear layers: auto, bf16, int8 or fp8 [default: auto]
    #[arg(long, value_name = "FORMAT")]
    linear_format: Option<String>,
    /// Device memory that a worker may take, such as 24GB [default: all there is]
    #[arg(long, value_name = "BYTES")]
    memory_limit: Option<String>,
    /// Main memory for what leaves a GPU, such as 64GB [default: half of the machine's]
    #[arg(long, value_name = "BYTES")]
    host_memory: Option<String>,
    /// Lines on standard error: text or json [default: text]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// Levels, by target if wanted, such as info,wanserve::scheduler=debug [default: info]
    #[arg(long, value_name = "FILTER")]
    log_filter: Option<String>,
}

impl SettingsArgs {
    /// The whole configuration. Fails with all mistakes together.
    pub(super) fn load(self) -> Result<Config> {
        let flags = Flags::default()
            .set("data.dir", self.data_dir)
            .set("server.listen", self.listen)
            .set("server.admin_listen", self.admin_listen)
            .set("models.dirs", self.models_dir)
            .set("models.serve", self.models)
            .set("models.linear_format", self.linear_format)
            .set("workers.devices", self.workers)
            .set("workers.memory_limit", self.memory_limit)
            .set("workers.host_memory", self.host_memory)
            .set("log.format", self.log_format)
            .set("log.filter", self.log_filter);
        Ok(Config::load(Sources::of_process(self.config, flags))?)
    }
}
