//! Keeps one worker process a device alive: starts it, sees it end, tells the scheduler, starts the next.
//! Must run on a thread that lives as long as the program, because the kernel ends a child with the thread that made it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};
use tokio::sync::{Mutex, Notify};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::domain::device::DeviceName;
use crate::metrics::Metrics;
use crate::scheduler::{Scheduler, WorkerState};
use crate::worker::Ended;

/// The running program's own file, also after it was replaced on disk.
pub(super) const OWN_PROGRAM: &str = "/proc/self/exe";

/// Wait before a worker that died is started again, doubled each time it dies soon.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// A worker that cannot start, for want of memory or a device, is tried this often.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A worker that lived this long had started well.
const LIVED_LONG: Duration = Duration::from_secs(60);

/// Between two looks at whether a worker still calls.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Why a worker is replaced, as the metric says it.
const REASONS: [&str; 4] = ["soft", "hard", "oom", "crash"];

/// One process to keep alive.
#[derive(Debug, Clone)]
pub(super) struct WorkerProcess {
    /// Stable over restarts.
    pub(super) name: String,
    pub(super) device: DeviceName,
}

/// How worker processes are started.
#[derive(Debug, Clone)]
pub(super) struct Launch {
    /// The server's socket.
    pub(super) socket: PathBuf,
    /// Arguments that all workers share.
    pub(super) arguments: Vec<OsString>,
    /// Variables that a worker must not see, for they may hold secrets.
    pub(super) hidden_variables: Vec<String>,
}

/// The processes of this machine.
pub(super) struct Supervisor {
    kept: Mutex<JoinSet<()>>,
    kill: Vec<(String, Arc<Notify>)>,
    stop: CancellationToken,
    kill_all: CancellationToken,
}

impl Supervisor {
    /// Starts every process.
    pub(super) fn start(
        processes: Vec<WorkerProcess>,
        launch: &Launch,
        scheduler: &Scheduler,
        metrics: &Arc<Metrics>,
    ) -> Self {
        let (stop, kill_all) = (CancellationToken::new(), CancellationToken::new());
        let mut kept = JoinSet::new();
        let mut kill = Vec::new();
        for process in processes {
            for reason in REASONS {
                metrics.worker_restarts_total.show([&process.name, reason]);
            }
            let order = Arc::new(Notify::new());
            kill.push((process.name.clone(), order.clone()));
            let keeper = Keeper {
                process,
                launch: launch.clone(),
                scheduler: scheduler.clone(),
                metrics: metrics.clone(),
                kill: order,
                stop: stop.clone(),
                kill_all: kill_all.clone(),
            };
            kept.spawn(keeper.keep());
        }
        Self { kept: Mutex::new(kept), kill, stop, kill_all }
    }

    /// Kills the worker of that name; a fresh one follows. `false` if it is none of ours.
    pub(super) fn kill(&self, name: &str) -> bool {
        let found = self.kill.iter().find(|(known, _)| known == name);
        found.inspect(|(_, order)| order.notify_one()).is_some()
    }

    /// Lets workers end, which the scheduler has told them to, and kills those that have not after `grace`.
    pub(super) async fn stop(&self, grace: Duration) {
        self.stop.cancel();
        let mut kept = self.kept.lock().await;
        let ended = async { while kept.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, ended).await.is_err() {
            warn!("workers did not end in time and are killed");
            self.kill_all.cancel();
            while kept.join_next().await.is_some() {}
        }
    }
}

/// Keeps one process.
struct Keeper {
    process: WorkerProcess,
    launch: Launch,
    scheduler: Scheduler,
    metrics: Arc<Metrics>,
    kill: Arc<Notify>,
    stop: CancellationToken,
    kill_all: CancellationToken,
}

impl Keeper {
    async fn keep(self) {
        let name = self.process.name.as_str();
        let mut pause = FIRST_PAUSE;
        while !self.stop.is_cancelled() {
            let began = Instant::now();
            let reason = match self.start() {
                Ok(child) => self.watch(child).await,
                Err(error) => {
                    error!(worker.name = name, "the worker cannot be started: {error}");
                    "crash"
                }
            };
            if self.stop.is_cancelled() {
                return;
            }
            self.metrics.worker_restarts_total.increment([name, reason]);
            if began.elapsed() >= LIVED_LONG || reason == "soft" {
                pause = FIRST_PAUSE;
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.stop.cancelled() => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn start(&self) -> std::io::Result<Child> {
        let mut command = Command::new(OWN_PROGRAM);
        command
            .arg0("wanserve")
            .arg("worker")
            .arg("--socket")
            .arg(&self.launch.socket)
            .args(["--name", &self.process.name])
            .args(["--device", &self.process.device.to_string()])
            .args(["--parent", &std::process::id().to_string()])
            .args(&self.launch.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            // Its own group: an interrupt from the terminal is for the server, which stops its workers in order.
            .process_group(0)
            .kill_on_drop(true);
        for variable in &self.launch.hidden_variables {
            command.env_remove(variable);
        }
        let child = command.spawn()?;
        info!(worker.name = %self.process.name, worker.process = child.id(), "worker started");
        Ok(child)
    }

    /// Resolves once the scheduler has not heard of the process for so long that it calls it down.
    async fn hangs(&self, process: u32) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let workers = self.scheduler.workers();
            let ours = workers.iter().find(|worker| worker.local && worker.process == process);
            if ours.is_some_and(|worker| worker.state == WorkerState::Down) {
                warn!(worker.name = %self.process.name, worker.process = process, "the worker hangs and is killed");
                return;
            }
        }
    }

    /// Waits for the end of the process, brings it about if asked to or if the process hangs, and reports it.
    /// Answers why it ended.
    async fn watch(&self, mut child: Child) -> &'static str {
        let process = child.id().unwrap_or_default();
        let (ended, ordered) = tokio::select! {
            status = child.wait() => (status, false),
            () = self.hangs(process) => (kill(&mut child).await, false),
            () = self.kill.notified() => (kill(&mut child).await, true),
            () = self.kill_all.cancelled() => (kill(&mut child).await, true),
        };
        self.scheduler.lost(&self.process.name).await;
        let status = match ended {
            Ok(status) => status,
            Err(error) => {
                error!(worker.name = %self.process.name, "the worker cannot be waited for: {error}");
                return "crash";
            }
        };
        let reason = if ordered { "hard" } else { reason(status) };
        info!(worker.name = %self.process.name, worker.process = process, reason, "worker ended: {status}");
        reason
    }
}

async fn kill(child: &mut Child) -> std::io::Result<ExitStatus> {
    child.start_kill()?;
    child.wait().await
}

fn reason(status: ExitStatus) -> &'static str {
    match status.code().and_then(Ended::of_exit_code) {
        Some(Ended::Stopped | Ended::Replaced) => "soft",
        Some(Ended::OutOfMemory) => "oom",
        Some(Ended::DeviceFailed) | None => "crash",
    }
}
