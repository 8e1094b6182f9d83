//! A running server: started on a fresh folder and free ports, asked over HTTP, ended with the test.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use wanserve::net::{ServerAddress, ServerClient};

/// Longer than anything takes on a busy machine with two cores.
pub(super) const DEADLINE: Duration = Duration::from_secs(240);

/// Between two looks at something that changes.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A started server.
pub(crate) struct Program {
    child: Child,
    pub(super) lines: Vec<String>,
    pub(crate) base: String,
    pub(crate) admin: String,
    log: PathBuf,
    /// Standard output, to its end.
    said: Arc<Mutex<Vec<String>>>,
}

/// The program with arguments, not yet started.
pub(super) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wanserve"));
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

impl Program {
    /// Starts on `folder` and waits until it listens.
    pub(crate) fn start(folder: &Path, variables: &[(&str, &str)]) -> Self {
        Self::start_on("127.0.0.1:0", folder, variables)
    }

    /// The same on an address that is known before.
    pub(crate) fn start_on(listen: &str, folder: &Path, variables: &[(&str, &str)]) -> Self {
        let data = folder.join("data");
        let log = folder.join("log");
        let mut command =
            command(&["serve", "--listen", listen, "--admin-listen", "127.0.0.1:0", "--data-dir"]);
        let file = std::fs::File::options().create(true).append(true).open(&log).unwrap();
        command.arg(&data).stdout(Stdio::piped()).stderr(file).envs(variables.iter().copied());
        // Not in the clone: the bundled model is found beside the program.
        let mut child = command.current_dir(folder).spawn().unwrap();
        let said = Arc::<Mutex<Vec<String>>>::default();
        let lines = read_lines(&mut child, &log, said.clone());
        let address = |prefix: &str| {
            let line = lines.iter().find_map(|line| line.strip_prefix(prefix));
            line.unwrap_or_else(|| panic!("no {prefix:?} in {lines:?}")).to_owned()
        };
        let (base, admin) = (address("listening on "), address("admin listening on "));
        Self { child, base, admin, log, lines, said }
    }

    /// What the first start printed.
    pub(crate) fn key(&self) -> String {
        let key = self.lines.iter().find_map(|line| line.strip_prefix("api key: "));
        key.expect("the first start prints a key").to_owned()
    }

    /// The most memory that the server itself has held, in bytes.
    pub(super) fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().trim().parse::<u64>().unwrap() << 10
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Whether the process has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for the process to end by itself.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "still running:\n{}", self.log());
            std::thread::sleep(LOOK_EVERY);
        }
    }

    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Every line of standard output so far.
    pub(super) fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            eprintln!("the server's log:\n{}", self.log());
        }
    }
}

/// Requests with one key to one listener.
pub(super) struct Http(ServerClient);

impl Http {
    pub(super) fn new(base: &str, key: &str) -> Self {
        let address = ServerAddress::Url { base: base.to_owned(), token: key.to_owned() };
        Self(ServerClient::new(address).unwrap())
    }

    /// The JSON of a good answer.
    pub(super) async fn json(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let mut request = self.0.request(method, path);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// The status of a JSON request.
    pub(super) async fn status(&self, path: &str, body: &Value) -> u16 {
        self.refusal(path, body).await.0
    }

    /// Status and text of a JSON request.
    pub(super) async fn refusal(&self, path: &str, body: &Value) -> (u16, String) {
        let answer = self.0.request(Method::POST, path).json(body).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Uploads a picture under that name.
    pub(super) async fn upload(&self, name: &str, picture: &[u8]) -> reqwest::Response {
        let head =
            format!("--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n");
        let purpose = b"--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nvision\r\n".as_slice();
        let form = [purpose, head.as_bytes(), picture, b"\r\n--b--\r\n"].concat();
        let request = self.request(Method::POST, "/v1/files").body(form);
        request.header("content-type", "multipart/form-data; boundary=b").send().await.unwrap()
    }

    /// A request of any other form.
    pub(super) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.0.request(method, path)
    }

    /// Status and bytes, with a header.
    pub(super) async fn bytes(&self, path: &str, header: (&str, &str)) -> (u16, Vec<u8>) {
        let answer = self.0.request(Method::GET, path).header(header.0, header.1).send().await.unwrap();
        (answer.status().as_u16(), answer.bytes().await.unwrap().to_vec())
    }

    /// Asks until the answer has that status.
    pub(super) async fn until_status(&self, path: &str, wanted: u16) {
        let deadline = Instant::now() + DEADLINE;
        while self.bytes(path, ("accept", "*/*")).await.0 != wanted {
            assert!(Instant::now() < deadline, "{path} is never {wanted}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Submits the shortest clip of that many steps.
    pub(super) async fn submit(&self, steps: u32) -> String {
        let body = json!({"prompt": "a red ball rolls to the right", "num_frames": 17, "num_steps": steps, "seed": 7});
        let job = self.json(Method::POST, "/v1/videos/generations", Some(body)).await;
        job["id"].as_str().unwrap().to_owned()
    }

    /// Looks at the job until `reached`.
    pub(super) async fn job_until(&self, video: &str, reached: impl Fn(&Value) -> bool) -> Value {
        let path = format!("/v1/videos/{video}");
        self.until(&path, reached).await
    }

    /// Waits for the job's end.
    pub(super) async fn ended(&self, video: &str) -> Value {
        self.job_until(video, |job| matches!(job["status"].as_str(), Some("completed" | "failed"))).await
    }

    /// Looks at `path` until `reached`.
    pub(super) async fn until(&self, path: &str, reached: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let seen = self.json(Method::GET, path, None).await;
            if reached(&seen) {
                return seen;
            }
            assert!(Instant::now() < deadline, "{path} is still {seen}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// A key for the operator's API, made while the server runs.
pub(crate) fn operator_key(folder: &Path) -> String {
    new_key(folder, "operator", &[])
}

/// A key of that kind, made while the server runs with these variables.
pub(super) fn new_key(folder: &Path, kind: &str, variables: &[(&str, &str)]) -> String {
    let data = folder.join("data").display().to_string();
    let mut command = command(&["keys", "create", "--kind", kind, "--json", "--data-dir", &data]);
    let made = command.envs(variables.iter().copied()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    made["value"].as_str().unwrap().to_owned()
}

/// Everything up to the second address, and the key line if there is one.
fn read_lines(child: &mut Child, log: &Path, said: Arc<Mutex<Vec<String>>>) -> Vec<String> {
    let stdout = child.stdout.take().unwrap();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            said.lock().unwrap().push(line.clone());
            // Whoever started the program waits for the first lines only.
            sender.send(line).ok();
        }
    });
    let mut lines: Vec<String> = Vec::new();
    let deadline = Instant::now() + DEADLINE;
    while !lines.iter().any(|line| line.starts_with("admin listening on ")) {
        let left = deadline.saturating_duration_since(Instant::now());
        match receiver.recv_timeout(left) {
            Ok(line) => lines.push(line),
            Err(error) => panic!("{error} after {lines:?}; log:\n{}", std::fs::read_to_string(log).unwrap()),
        }
    }
    // All lines are written at once, so what is to come is there.
    while let Ok(line) = receiver.recv_timeout(Duration::from_millis(500)) {
        lines.push(line);
        if lines.iter().any(|line| line.starts_with("api key: ")) {
            break;
        }
    }
    lines
}
