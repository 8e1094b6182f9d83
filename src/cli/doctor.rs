//! `wanserve doctor`: what this machine has, what is missing, and what to do about it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;
use rustix::fs::{Access, access};

use super::catalog;
use super::settings::SettingsArgs;
use crate::config::Config;
use crate::domain::device::DeviceName;
use crate::store::postgres;
use crate::{app, config};

/// Look at this machine and the configuration, and say what is missing
#[derive(Debug, clap::Args)]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    settings: SettingsArgs,
}

/// A few hundred clips and room for the database; below it a server soon refuses work.
const LOW_DISK_BYTES: u64 = 5 << 30;

/// Ampere brought the copies and products that the kernels are made of.
const OLDEST_CAPABILITY: (i32, i32) = (8, 0);

/// What one look found.
struct Finding {
    what: &'static str,
    found: String,
    /// What to do; `None` if all is well.
    remedy: Option<String>,
    /// Whether the server cannot start like this.
    fatal: bool,
}

/// Prints every finding. Fails if the server could not start.
pub(super) fn run_doctor(args: DoctorArgs) -> Result<ExitCode> {
    let config = args.settings.load()?;
    let mut findings = vec![processor()];
    findings.extend(gpus(&config));
    findings.extend([data_folder(&config.data.dir), disk(&config.data.dir)]);
    findings.extend(database(&config)?);
    findings.extend(models(&config));
    findings.extend(listeners(&config));
    let mut out = std::io::stdout().lock();
    for Finding { what, found, remedy, fatal } in &findings {
        let mark = match (remedy, fatal) {
            (None, _) => "ok  ",
            (Some(_), false) => "note",
            (Some(_), true) => "FAIL",
        };
        writeln!(out, "{mark}  {what}: {found}")?;
        if let Some(remedy) = remedy {
            writeln!(out, "      {remedy}")?;
        }
    }
    for warning in &config.warnings {
        writeln!(out, "note  configuration: {warning}")?;
    }
    let failed = findings.iter().any(|finding| finding.fatal && finding.remedy.is_some());
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Asks the PostgreSQL server, if one is configured.
fn database(config: &Config) -> Result<Option<Finding>> {
    let Some(url) = &config.store.url else { return Ok(None) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (found, remedy) = match runtime.block_on(postgres::look(url.expose())) {
        Ok(found) => (found, None),
        Err(error) => (error.to_string(), Some("see the setting store.url".to_owned())),
    };
    Ok(Some(Finding { what: "database", found, remedy, fatal: true }))
}

fn processor() -> Finding {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Finding { what: "processor", found: format!("{cores} cores"), remedy: None, fatal: false }
}

/// What the driver shows; then each GPU as the engine would open it.
fn gpus(config: &Config) -> Vec<Finding> {
    let what = "GPUs";
    let found = |found: String, remedy: Option<String>| vec![Finding { what, found, remedy, fatal: false }];
    let nvml = match Nvml::init() {
        Ok(nvml) => nvml,
        Err(NvmlError::LibloadingError(_)) => {
            return found("none: no NVIDIA driver, so the CPU works".to_owned(), None);
        }
        Err(error) => return found(format!("none: {error}"), None),
    };
    let count = nvml.device_count().unwrap_or(0);
    if count == 0 {
        return found("none: the driver shows no card, so the CPU works".to_owned(), None);
    }
    if !cfg!(feature = "cuda") {
        let remedy = "this build has no GPU kernels, so the CPU works: build with `--features cuda`";
        let names: Vec<String> = (0..count).map(|index| name_of(&nvml, index)).collect();
        return found(names.join(", "), Some(remedy.to_owned()));
    }
    (0..count).map(|index| gpu(&nvml, index, config)).collect()
}

fn name_of(nvml: &Nvml, index: u32) -> String {
    let name = nvml.device_by_index(index).and_then(|gpu| gpu.name());
    name.unwrap_or_else(|error| format!("GPU {index} ({error})"))
}

/// Opens a GPU: what stands in the way is said by whatever fails.
fn gpu(nvml: &Nvml, index: u32, config: &Config) -> Finding {
    let what = "GPU";
    let device = DeviceName::Cuda(index);
    let described = nvml.device_by_index(index).and_then(|gpu| {
        let (capability, memory) = (gpu.cuda_compute_capability()?, gpu.memory_info()?);
        Ok((gpu.name()?, (capability.major, capability.minor), memory.total, memory.total - memory.used))
    });
    let (name, (major, minor), total, free) = match described {
        Ok(described) => described,
        Err(error) => {
            let remedy =
                Some(format!("the driver does not answer for it ({error}): does `nvidia-smi` work?"));
            return Finding { what, found: device.to_string(), remedy, fatal: false };
        }
    };
    let driver = nvml.sys_driver_version().unwrap_or_default();
    let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
    let own = config::Devices::These(vec![device]);
    let found = format!(
        "{device} is {name}, compute capability {major}.{minor}, {:.0} GiB of which {:.0} free, driver {driver}; \
         linear layers in {}",
        gib(total),
        gib(free),
        app::linear_format(config.models.linear_format, &own)
    );
    let opened = device.to_string().parse::<kernels::Device>();
    let remedy = match opened {
        Err(error) => Some(error.to_string()),
        Ok(_) if (major, minor) < OLDEST_CAPABILITY => {
            let (major, minor) = OLDEST_CAPABILITY;
            Some(format!("the kernels need compute capability {major}.{minor} or newer"))
        }
        Ok(_) => None,
    };
    Finding { what, found, remedy, fatal: false }
}

/// Asks about the folder, or about where it would be made; changes nothing.
fn data_folder(dir: &Path) -> Finding {
    let place = existing(dir);
    let mut found = dir.display().to_string();
    if place != dir {
        found.push_str(" (made at the first start)");
    }
    let problem = if place.is_dir() {
        access(&place, Access::WRITE_OK | Access::EXEC_OK).err().map(|error| error.to_string())
    } else {
        Some(format!("{} is not a folder", place.display()))
    };
    let remedy =
        problem.map(|problem| format!("it cannot be written ({problem}): choose another with --data-dir"));
    Finding { what: "data folder", found, remedy, fatal: true }
}

/// The path itself, or the nearest folder above it that is there.
fn existing(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let there = whole.ancestors().find(|place| place.exists()).map(Path::to_owned);
    there.filter(|place| *place != whole).unwrap_or_else(|| path.to_owned())
}

fn disk(dir: &Path) -> Finding {
    let free = rustix::fs::statvfs(existing(dir)).map(|disk| disk.f_bavail * disk.f_frsize);
    let (found, remedy) = match free {
        Err(error) => ("unknown".to_owned(), Some(error.to_string())),
        Ok(free) => {
            let low = free < LOW_DISK_BYTES;
            let remedy = low.then(|| "little room: results are refused once the disk is full".to_owned());
            (format!("{:.1} GiB free", free as f64 / f64::from(1 << 30)), remedy)
        }
    };
    Finding { what: "disk", found, remedy, fatal: false }
}

fn models(config: &Config) -> Vec<Finding> {
    let library = catalog::library(&config.models);
    let look = |id: &String| match library.find(id) {
        Ok(model) => Finding { what: "model", found: model.id().to_string(), remedy: None, fatal: true },
        Err(error) => {
            Finding { what: "model", found: id.clone(), remedy: Some(error.to_string()), fatal: true }
        }
    };
    config.models.serve.iter().map(look).collect()
}

fn listeners(config: &Config) -> Vec<Finding> {
    let look = |(what, address)| match std::net::TcpListener::bind(address) {
        Ok(_) => Finding { what, found: format!("{address}"), remedy: None, fatal: true },
        Err(error) => {
            let remedy =
                format!("it cannot be listened on ({error}): is a server running? Port 0 takes a free one");
            Finding { what, found: format!("{address}"), remedy: Some(remedy), fatal: true }
        }
    };
    [("listen", config.server.listen), ("admin listen", config.server.admin_listen)].map(look).into()
}
