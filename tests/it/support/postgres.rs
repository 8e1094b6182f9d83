//! A PostgreSQL server of the test process's own: made in a temporary folder when the first test asks for it, gone with the
//! process, however that ends. Killed, it comes back by itself. Each test gets a database of its own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// What to do where there is none.
const MISSING: &str = "these tests need PostgreSQL 15 or newer: run scripts/setup.sh, or \
                       apt-get install --no-install-recommends postgresql";

/// In memory if it can be: what is tested survives the end of processes, not of the machine, and a sync costs nothing there.
/// Runs the server until standard input ends, again if it was killed. It sorts text as people do, not by bytes, so that
/// a column that must sort by bytes is known to say so.
const SCRIPT: &str = r#"
set -e
place=${TMPDIR:-/tmp}
[ -w /dev/shm ] && place=/dev/shm
folder=$(mktemp -d "$place/postgres.XXXXXX")
trap 'rm -rf "$folder"' EXIT
"$1/initdb" -D "$folder/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 \
    --locale-provider=icu --icu-locale=en --no-sync >"$folder/log" 2>&1 || { cat "$folder/log" >&2; exit 1; }
exec 3<&0
( cat <&3 >/dev/null; touch "$folder/end"; kill -QUIT "$(head -n 1 "$folder/data/postmaster.pid")" ) &
echo "$folder"
while [ ! -e "$folder/end" ]; do
    "$1/postgres" -D "$folder/data" -k "$folder" -h '' -c max_connections=200 -c shared_buffers=32MB -c max_wal_size=128MB \
        >>"$folder/log" 2>&1 3<&- || sleep 0.1
done
"#;

/// The server.
struct Cluster {
    binaries: PathBuf,
    folder: PathBuf,
    /// Its standard input is held open for as long as this process lives.
    _keeper: Child,
}

/// A database of one test; dropped with it.
pub(crate) struct Database {
    name: String,
    cluster: &'static Cluster,
}

fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(Cluster::start)
}

impl Cluster {
    fn start() -> Self {
        let binaries = binaries().expect(MISSING);
        // The server refuses to run as root.
        let mut command = if rustix::process::getuid().is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "sh"]);
            command
        } else {
            Command::new("sh")
        };
        command.args(["-c", SCRIPT, "sh"]).arg(&binaries).current_dir("/");
        let mut keeper = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect(MISSING);
        let mut line = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "the PostgreSQL server cannot be made");
        let cluster = Self { binaries, folder: PathBuf::from(line.trim()), _keeper: keeper };
        cluster.wait();
        cluster
    }

    /// Until it takes connections.
    fn wait(&self) {
        let mut ready = Command::new(self.binaries.join("pg_isready"));
        ready.args(["--quiet", "--host"]).arg(&self.folder);
        for _ in 0..600 {
            if ready.status().expect(MISSING).success() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        panic!("the PostgreSQL server does not start:\n{log}");
    }

    fn statement(&self, database: &str, sql: &str) -> String {
        let mut psql = Command::new(self.binaries.join("psql"));
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--username=postgres", "--host"]);
        let done = psql.arg(&self.folder).args(["--command", sql, database]).output().expect(MISSING);
        assert!(done.status.success(), "{sql}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }
}

impl Database {
    pub(crate) fn new() -> Self {
        Self::on(cluster())
    }

    fn on(cluster: &'static Cluster) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        cluster.statement("postgres", &format!("create database {name} template template0"));
        Self { name, cluster }
    }

    pub(crate) fn url(&self) -> String {
        let Self { name, cluster } = self;
        format!("postgres://postgres@localhost/{name}?host={}", cluster.folder.display())
    }

    /// On a server of its own, which may be killed: others do not notice.
    pub(crate) fn alone() -> Self {
        let cluster: &'static Cluster = Box::leak(Box::new(Cluster::start()));
        Self::on(cluster)
    }

    /// What a statement of somebody else answers, whoever that is.
    pub(crate) fn statement(&self, sql: &str) -> String {
        self.cluster.statement(&self.name, sql)
    }

    /// Ends every connection to it; how many there were.
    pub(crate) fn cut(&self) -> usize {
        let cut = "select count(pg_terminate_backend(pid)) from pg_stat_activity
                   where datname = current_database() and pid <> pg_backend_pid()";
        self.cluster.wait();
        self.statement(cut).parse().unwrap()
    }

    /// Kills the whole server without warning; it comes back by itself.
    pub(crate) fn kill_server(&self) {
        self.cluster.wait();
        let file = std::fs::read_to_string(self.cluster.folder.join("data/postmaster.pid")).unwrap();
        let process = file.lines().next().and_then(|line| line.trim().parse().ok());
        let process = process.and_then(rustix::process::Pid::from_raw).unwrap();
        rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.cluster.wait();
            self.cluster.statement("postgres", &format!("drop database {} with (force)", self.name));
        }
    }
}

/// Debian keeps the server's programs out of the path.
fn binaries() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    folders.sort();
    folders.extend(["/usr/local/bin", "/usr/bin"].map(PathBuf::from));
    folders.into_iter().rfind(|folder| has_server(folder))
}

fn has_server(folder: &Path) -> bool {
    ["initdb", "postgres", "psql", "pg_isready"].iter().all(|program| folder.join(program).exists())
}
