//! Ten thousand open event streams on one server: what each takes of its memory, what they cost while nothing happens,
//! and how soon all followers of a job hear of its end. Starts the program itself, without workers, on a fresh folder.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Streams by default; the first argument that is a number says otherwise.
const STREAMS: usize = 10_000;

/// Jobs that they follow, as many as a project may have by default.
const JOBS: usize = 20;

/// How long the open streams are watched doing nothing.
const QUIET: Duration = Duration::from_secs(30);

/// An answer that has not come by then will not.
const PATIENCE: Duration = Duration::from_secs(120);

struct Server {
    child: Child,
    address: String,
    key: String,
    _folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut child = Command::new(env!("CARGO_BIN_EXE_wanserve"))
            .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--workers", "none"])
            .arg("--data-dir")
            .arg(folder.path().join("data"))
            .env("WANSERVE_LIMITS_READS_PER_MINUTE", "0")
            .env("WANSERVE_LOG_FILTER", "warn")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let (mut address, mut key) = (None, None);
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        while address.is_none() || key.is_none() {
            let line = lines.next().expect("the program goes on").expect("text");
            if let Some(base) = line.strip_prefix("listening on http://") {
                address = Some(base.to_owned());
            }
            if let Some(text) = line.strip_prefix("api key: ") {
                key = Some(text.to_owned());
            }
        }
        Self { child, address: address.expect("read"), key: key.expect("read"), _folder: folder }
    }

    /// Resident bytes of the server, and the processor time that it took.
    fn taken(&self) -> (u64, Duration) {
        let read = |name: &str| {
            std::fs::read_to_string(format!("/proc/{}/{name}", self.child.id())).expect("a running process")
        };
        let status = read("status");
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line of memory");
        let kilobytes: u64 = resident.trim().trim_end_matches(" kB").trim().parse().expect("a number");
        let stat = read("stat");
        let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
        let ticks: u64 =
            fields[11].parse::<u64>().expect("a number") + fields[12].parse::<u64>().expect("a number");
        (kilobytes << 10, Duration::from_millis(ticks * 10))
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).expect("the server listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.address,
            self.key,
            body.len(),
        );
        stream.write_all(request.as_bytes()).expect("the request goes out");
        stream
    }

    fn submit(&self) -> String {
        let body = r#"{"prompt":"A red ball rolls over the green grass.","num_frames":17,"num_steps":1}"#;
        let mut stream = self.ask("POST", "/v1/videos/generations", body);
        let answer = until(&mut stream, "\"object\"");
        let start = answer.find("\"id\":\"").unwrap_or_else(|| panic!("no id in {answer}")) + 6;
        answer[start..start + "video_".len() + 32].to_owned()
    }
}

fn main() {
    let wanted = std::env::args().filter_map(|argument| argument.parse().ok()).next();
    let streams: usize = wanted.unwrap_or(STREAMS);
    let server = Server::start();
    let jobs: Vec<String> = (0..JOBS).map(|_| server.submit()).collect();
    // What the first streams bring with them, such as threads and caches, belongs to none of them.
    let mut open: Vec<TcpStream> = (0..100).map(|number| follow(&server, &jobs, number)).collect();
    let (before, _) = server.taken();
    let began = Instant::now();
    open.extend((0..streams).map(|number| follow(&server, &jobs, number)));
    let opened = began.elapsed();
    let (after, quiet_from) = server.taken();
    std::thread::sleep(QUIET);
    let (later, quiet_to) = server.taken();
    let each = |bytes: u64| bytes.saturating_sub(before) as f64 / streams as f64 / 1024.0;

    let began = Instant::now();
    server.ask("POST", &format!("/v1/videos/{}/cancel", jobs[0]), "");
    let followers = open.iter_mut().enumerate().filter(|(index, _)| {
        let number = if *index < 100 { *index } else { index - 100 };
        number % JOBS == 0
    });
    let mut told = 0;
    for (_, stream) in followers {
        until(stream, "event: video.failed");
        told += 1;
    }
    let fanned = began.elapsed();

    say(&format!("{streams} streams over {JOBS} jobs, opened in {:.1} s", opened.as_secs_f64()));
    say(&format!(
        "memory: {:.1} KiB a stream when opened, {:.1} KiB after {} s",
        each(after),
        each(later),
        QUIET.as_secs()
    ));
    let cpu = (quiet_to - quiet_from).as_secs_f64() / QUIET.as_secs_f64();
    say(&format!("idle: {:.1} % of one core", 100.0 * cpu));
    say(&format!("the end of a job reached its {told} followers in {:.0} ms", fanned.as_secs_f64() * 1000.0));
}

/// Opens a stream and waits for its first event.
fn follow(server: &Server, jobs: &[String], number: usize) -> TcpStream {
    let path = format!("/v1/videos/{}/events", jobs[number % jobs.len()]);
    let mut stream = server.ask("GET", &path, "");
    until(&mut stream, "event: video.queued");
    stream
}

/// Reads until the text has come.
fn until(stream: &mut TcpStream, text: &str) -> String {
    let mut got = Vec::new();
    let mut chunk = [0; 16 << 10];
    while !String::from_utf8_lossy(&got).contains(text) {
        let length = stream.read(&mut chunk).expect("the server answers in time");
        assert!(length > 0, "the server hung up after {}", String::from_utf8_lossy(&got));
        got.extend_from_slice(&chunk[..length]);
    }
    String::from_utf8_lossy(&got).into_owned()
}

#[expect(clippy::print_stdout, reason = "what a bench is for")]
fn say(line: &str) {
    println!("{line}");
}
