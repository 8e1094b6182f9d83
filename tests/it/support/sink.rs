//! A receiver of webhooks on loopback, which gives its answers in turn and remembers what it was sent.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::app::PATIENCE;

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    /// Request line and headers, in lower case.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

/// A listening receiver.
pub(crate) struct Sink {
    pub(crate) port: u16,
    got: Arc<Mutex<Vec<Received>>>,
    news: Arc<Notify>,
}

impl Sink {
    /// Whole answers, head and body; the last one is given again and again.
    pub(crate) async fn start(answers: Vec<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (got, news) = (Arc::<Mutex<Vec<Received>>>::default(), Arc::new(Notify::new()));
        let sink = Self { port, got: got.clone(), news: news.clone() };
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let request = read(&mut stream).await;
                let number = {
                    let mut got = got.lock().unwrap();
                    got.push(request);
                    got.len() - 1
                };
                news.notify_one();
                stream.write_all(&answers[number.min(answers.len() - 1)]).await.unwrap();
            }
        });
        sink
    }

    /// Answers with these statuses and no body.
    pub(crate) async fn of_statuses(statuses: &[u16]) -> Self {
        let answer = |status: &u16| format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n").into_bytes();
        Self::start(statuses.iter().map(answer).collect()).await
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(crate) fn got(&self) -> Vec<Received> {
        self.got.lock().unwrap().clone()
    }

    /// What came, as soon as it is so many requests.
    pub(crate) async fn until(&self, count: usize) -> Vec<Received> {
        let wait = async {
            while self.got().len() < count {
                self.news.notified().await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("requests come in time");
        self.got()
    }
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        let line = self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.unwrap_or_else(|| panic!("no {name} in {}", self.head))
    }
}

async fn read(stream: &mut TcpStream) -> Received {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await.unwrap();
    Received { head, body }
}
