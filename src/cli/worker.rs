//! `wanserve worker`: one device's worker, as a child of `serve` or on another machine.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::settings::SettingsArgs;
use super::{catalog, signals};
use crate::domain::device::DeviceName;
use crate::domain::request::DeployedModel;
use crate::engine::Settings;
use crate::engine::memory::Budget;
use crate::media::PictureDecoder;
use crate::net::{ServerAddress, ServerClient};
use crate::worker::{OfferedModel, Setup, run};
use crate::{app, config, telemetry};

/// Run one device's worker
#[derive(Debug, clap::Args)]
pub(super) struct WorkerArgs {
    /// Server to work for, such as http://10.0.0.5:8080; the token is WANSERVE_WORKERS_TOKEN
    #[arg(long, value_name = "URL", required_unless_present = "socket")]
    api: Option<String>,
    /// The server's socket, for a child of `serve`
    #[arg(long, value_name = "PATH", conflicts_with = "api", hide = true)]
    socket: Option<PathBuf>,
    /// Process that this worker must not outlive
    #[arg(long, value_name = "PID", hide = true)]
    parent: Option<i32>,
    /// Name that outlives restarts [default: the machine's name and the device]
    #[arg(long)]
    name: Option<String>,
    /// cpu or cuda:<n>
    #[arg(long, default_value = "cpu")]
    device: DeviceName,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Works until told to stop.
pub(super) fn run_worker(args: WorkerArgs) -> Result<ExitCode> {
    if let Some(parent) = args.parent {
        die_with(parent)?;
    }
    let config = args.settings.load()?;
    telemetry::start(&config.log)?;
    let own_device = config::Devices::These(vec![args.device]);
    let linear = app::linear_format(config.models.linear_format, &own_device);
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let setup = Setup {
        server: ServerClient::new(address(args.socket, args.api, &config.workers)?)?,
        name: args.name.unwrap_or_else(|| format!("{host}/{}", args.device)),
        host,
        device: args.device,
        library: catalog::library(&config.models),
        // The running program's own file, also after it was replaced on disk.
        pictures: PictureDecoder::new("/proc/self/exe".into()),
        settings: Settings {
            budget: Budget { limit: config.workers.memory_limit, host: config.workers.host_memory },
            linear,
        },
        models: catalog::deployed(&config.models, linear)?.models().iter().map(offered).collect(),
        drain: config.workers.drain,
    };
    // One thread is enough: the engine has its own, and the rest waits for the network.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        let stop = CancellationToken::new();
        let signals = signals::cancel_then_exit(stop.clone())?;
        let ended = run(setup, stop).await;
        signals.abort();
        ended.context("the worker cannot go on")
    })?;
    info!(?ended, "worker ends");
    Ok(ExitCode::from(ended.exit_code()))
}

/// In the number format of its files.
fn offered(model: &DeployedModel) -> OfferedModel {
    OfferedModel { id: model.id.clone(), quant_linear: model.quant_linear.contains(&true) }
}

fn address(socket: Option<PathBuf>, api: Option<String>, workers: &config::Workers) -> Result<ServerAddress> {
    match (socket, api) {
        (Some(socket), _) => Ok(ServerAddress::Socket(socket)),
        (None, Some(base)) => {
            let token =
                workers.token.as_ref().context("WANSERVE_WORKERS_TOKEN is needed to join a server")?;
            Ok(ServerAddress::Url { base, token: token.expose().to_owned() })
        }
        (None, None) => bail!("--api is needed"),
    }
}

/// The kernel ends this process when `parent` ends, however that happens.
fn die_with(parent: i32) -> Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // It may have ended before the line above.
    if Pid::as_raw(getppid()) != parent {
        bail!("the server that started this worker is gone");
    }
    Ok(())
}
