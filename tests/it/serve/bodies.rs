//! Bodies that never end, break off or drip, against the running program: each is refused with its code or cut off,
//! and the server stays as small as it was. A drip is looked at for seconds, so this takes its ten.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::program::Program;

/// Two megabytes an upload are kept in memory, and a few buffers.
const MAY_GROW_BYTES: u64 = 40 << 20;

/// Longer than the server waits for anything that drips.
const PATIENCE: Duration = Duration::from_secs(90);

struct Sender {
    stream: TcpStream,
}

impl Sender {
    /// With the head of a form sent, chunked.
    async fn start(server: &Program, path: &str, key: &str) -> Self {
        let host = server.base.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(host).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {key}\r\n\
             content-type: multipart/form-data; boundary=b\r\ntransfer-encoding: chunked\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        Self { stream }
    }

    /// `false` once the server takes no more.
    async fn chunk(&mut self, bytes: &[u8]) -> bool {
        let head = format!("{:x}\r\n", bytes.len());
        self.stream.write_all(head.as_bytes()).await.is_ok()
            && self.stream.write_all(bytes).await.is_ok()
            && self.stream.write_all(b"\r\n").await.is_ok()
    }

    /// What came back before the connection ended, if anything.
    async fn answer(mut self) -> String {
        let mut got = Vec::new();
        let mut chunk = [0; 4096];
        let reading = async {
            while let Ok(length @ 1..) = self.stream.read(&mut chunk).await {
                got.extend_from_slice(&chunk[..length]);
                if got.ends_with(b"}") {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, reading).await.expect("the server answers or hangs up");
        String::from_utf8(got).unwrap()
    }
}

fn part(name: &str) -> String {
    format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"a.png\"\r\n\r\n")
}

/// Several forms at once whose file does not end.
async fn endless(server: &Program, key: &str) {
    let mut several = Vec::new();
    for (path, name, most) in [
        ("/v1/videos", "input_reference", 17 << 20),
        ("/v1/videos/from-image", "image", 17 << 20),
        ("/v1/files", "file", 111_u64 << 20),
        ("/v1/files", "file", 111 << 20),
    ] {
        let mut sender = Sender::start(server, path, key).await;
        several.push(async move {
            sender.chunk(part(name).as_bytes()).await;
            let block = vec![0x5a; 1 << 20];
            let mut sent = 0;
            while sent < most + (4 << 20) && sender.chunk(&block).await {
                sent += block.len() as u64;
            }
            // Where the connection was reset the answer may be lost with it.
            let answer = sender.answer().await;
            assert!(answer.is_empty() || answer.contains("request_too_large"), "{path}: {answer}");
            assert!(sent <= most + (4 << 20), "{path} took {sent} bytes");
        });
    }
    futures_util::future::join_all(several).await;
}

#[tokio::test]
async fn bodies_without_end_or_speed_are_cut_off_and_leave_the_server_small() {
    let folder = tempfile::tempdir().unwrap();
    let server = Program::start(folder.path(), &[("WANSERVE_WORKERS_DEVICES", "none")]);
    let key = server.key();
    // What the first round leaves, buffers of threads for the most part, is not given back and not taken again.
    endless(&server, &key).await;
    let before = server.peak_memory();
    endless(&server, &key).await;

    let mut many = Sender::start(&server, "/v1/videos", &key).await;
    for number in 0..70 {
        many.chunk(
            format!("--b\r\nContent-Disposition: form-data; name=\"f{number}\"\r\n\r\nx\r\n").as_bytes(),
        )
        .await;
    }
    assert!(many.answer().await.contains("request_too_large"));

    let mut cut = Sender::start(&server, "/v1/files", &key).await;
    cut.chunk(part("file").as_bytes()).await;
    cut.chunk(b"and then nothing\r\n").await;
    cut.stream.write_all(b"0\r\n\r\n").await.unwrap();
    assert!(cut.answer().await.contains("invalid_multipart"));

    let began = Instant::now();
    let mut slow = Sender::start(&server, "/v1/files", &key).await;
    slow.chunk(part("file").as_bytes()).await;
    let mut drip = tokio::time::interval(Duration::from_millis(100));
    while began.elapsed() < PATIENCE && slow.chunk(b"x").await {
        drip.tick().await;
        let mut probe = [0; 1];
        if slow.stream.try_read(&mut probe).is_ok() {
            break;
        }
    }
    assert!(began.elapsed() < PATIENCE, "a drip was listened to for {:?}", began.elapsed());
    // Where the connection was reset the answer may be lost with it.
    let answer = slow.answer().await;
    assert!(answer.is_empty() || answer.contains("invalid_multipart"), "{answer}");

    let grown = server.peak_memory() - before;
    assert!(grown < MAY_GROW_BYTES, "the server grew by {grown} bytes");
}
