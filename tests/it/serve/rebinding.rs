//! The program asks a real name server, which changes its answer between two questions. The resolver of the system cannot
//! be told where to ask, so the test starts itself again where network and `/etc/resolv.conf` are its own, by `unshare`.

use std::io::Write;
use std::net::{Ipv4Addr, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::program::{Http, Program};
use crate::prometheus::sum;
use crate::support::{Sink, png};

/// Tells the test in the other world that it is meant.
const INSIDE: &str = "REBINDING_TEST_INSIDE";

/// What the inner test says once it is there; without it there was no such place to be had.
const ARRIVED: &str = "a network of our own";

const NAME: &str = "rebind.example.com";

const GOOD: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);

/// Not allowed by the policy of this test.
const BAD: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// A name server with one name.
struct NameServer {
    /// Answers to the questions to come, the last one again and again.
    answers: Arc<Mutex<Vec<Vec<Ipv4Addr>>>>,
    /// For an IPv4 address.
    questions: Arc<AtomicUsize>,
}

impl NameServer {
    fn start() -> Self {
        let socket = UdpSocket::bind((GOOD, 53)).unwrap();
        let (answers, questions) = (Arc::new(Mutex::new(vec![vec![GOOD]])), Arc::new(AtomicUsize::new(0)));
        let server = Self { answers: answers.clone(), questions: questions.clone() };
        std::thread::spawn(move || {
            let mut packet = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut packet) {
                let question = &packet[..length];
                // After the header stands the name, ended by an empty label, then the type: 1 is an IPv4 address.
                let end = 12 + question[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
                let addresses = if question[end - 4..end - 2] == [0, 1] {
                    questions.fetch_add(1, Ordering::SeqCst);
                    let mut answers = answers.lock().unwrap();
                    if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() }
                } else {
                    Vec::new()
                };
                let mut reply = question[..end].to_vec();
                // An answer without error to one question; nobody may keep it.
                reply[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, addresses.len() as u8, 0, 0, 0, 0]);
                for address in addresses {
                    reply.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
                    reply.extend_from_slice(&address.octets());
                }
                socket.send_to(&reply, from).unwrap();
            }
        });
        server
    }

    fn answer(&self, answers: &[&[Ipv4Addr]]) {
        *self.answers.lock().unwrap() = answers.iter().map(|list| list.to_vec()).collect();
        self.questions.store(0, Ordering::SeqCst);
    }

    fn questions(&self) -> usize {
        self.questions.load(Ordering::SeqCst)
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how a test tells its other process that it is meant")]
fn a_name_that_changes_its_address_leads_nowhere_else() {
    if std::env::var_os(INSIDE).is_some() {
        return tokio::runtime::Runtime::new().unwrap().block_on(inside());
    }
    let resolver = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(resolver.path(), "nameserver 127.0.0.1\noptions timeout:5 attempts:2\n").unwrap();
    let script = "mount --bind \"$0\" /etc/resolv.conf && (ip link set lo up; exec \"$@\")";
    let child = Command::new("unshare")
        .args(["--map-root-user", "--net", "--mount", "sh", "-c", script])
        .arg(resolver.path())
        .arg(std::env::current_exe().unwrap())
        .args([
            "serve::rebinding::a_name_that_changes_its_address_leads_nowhere_else",
            "--exact",
            "--nocapture",
        ])
        .env(INSIDE, "1")
        .output();
    match child {
        Ok(child) => {
            let (said, told) =
                (String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
            if said.contains(ARRIVED) {
                assert!(child.status.success(), "{said}\n{told}");
            } else {
                eprintln!("skipped: this machine gives no network of one's own: {told}");
            }
        }
        Err(error) => eprintln!("skipped: no unshare: {error}"),
    }
}

async fn inside() {
    std::io::stdout().write_all(format!("{ARRIVED}\n").as_bytes()).unwrap();
    let picture = png(160, 160);
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", picture.len());
    let good = Sink::start(vec![[head.as_bytes(), &picture].concat()]).await;
    let bad = TcpListener::bind((BAD, good.port)).await.unwrap();
    let visits = Arc::new(AtomicUsize::new(0));
    let counted = visits.clone();
    tokio::spawn(async move {
        while bad.accept().await.is_ok() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    let names = NameServer::start();
    let folder = tempfile::tempdir().unwrap();
    let server = Program::start(
        folder.path(),
        &[
            ("WANSERVE_WORKERS_DEVICES", "none"),
            ("WANSERVE_OUTGOING_ALLOW_CIDRS", "127.0.0.1"),
            ("WANSERVE_OUTGOING_EXTRA_PORTS", &good.port.to_string()),
            ("WANSERVE_OUTGOING_WEBHOOK_HTTP", "true"),
        ],
    );
    let http = Http::new(&server.base, &server.key());
    let url = format!("http://{NAME}:{}/", good.port);
    let animate = json!({ "prompt": "x", "num_frames": 17, "image": url });
    let endpoint = json!({ "url": url, "events": ["video.failed"] });

    let made = http.json(Method::POST, "/v1/webhook_endpoints", Some(endpoint.clone())).await;
    assert!(names.questions() > 0, "the name server is the one that is asked");
    // What was judged is what is connected to: there is no second question whose answer could be another.
    names.answer(&[&[GOOD], &[BAD]]);
    http.json(Method::POST, "/v1/videos/from-image", Some(animate.clone())).await;
    assert_eq!(names.questions(), 1);

    let refused = async |path: &str, body: &Value, code: &str| {
        let (status, text) = http.refusal(path, body).await;
        assert!(status == 400 && text.contains(code), "{status} {text}");
        assert!(!text.contains("127.0.0"), "{text}");
    };
    for answers in [[BAD].as_slice(), &[GOOD, BAD], &[BAD, GOOD]] {
        names.answer(&[answers]);
        refused("/v1/videos/from-image", &animate, "image_url_not_allowed").await;
        refused("/v1/webhook_endpoints", &endpoint, "callback_url_not_allowed").await;
        // Registered while its address was good.
        let test = format!("/v1/webhook_endpoints/{}/test", made["id"].as_str().unwrap());
        let delivery = http.json(Method::POST, &test, None).await;
        assert_eq!(delivery["attempts"][0]["error"], "url not allowed", "{delivery}");
    }
    assert_eq!(visits.load(Ordering::SeqCst), 0, "nobody came to the other address");
    assert_eq!(good.got().len(), 1, "the one picture");
    let (_, metrics) = http.bytes("/metrics", ("accept", "*/*")).await;
    let metrics = String::from_utf8(metrics).unwrap();
    for (purpose, times) in [("image", 3.0), ("webhook", 6.0)] {
        let lines: String =
            metrics.lines().filter(|line| line.contains(purpose)).map(|line| format!("{line}\n")).collect();
        assert_eq!(sum(&lines, "wanserve_outbound_blocked_total"), times, "{lines}");
    }
}
