//! The client against servers that lie, drip, redirect and change their address. All of them are on loopback:
//! 127.0.0.1 is allowed by the test's policy, 127.0.0.2 is not and counts its visitors.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::super::policy::PolicySettings;
use super::super::resolver::Lookup;
use super::*;

/// What a server does with each connection once it has read the request's head.
type Reply = fn(TcpStream, String) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

struct Server {
    address: SocketAddr,
    visits: Arc<AtomicUsize>,
    heads: Arc<Mutex<Vec<String>>>,
}

/// Answers with the next of its lists, the last one again and again.
struct Answers(Mutex<Vec<Vec<IpAddr>>>);

impl Names for Answers {
    fn lookup<'a>(&'a self, _name: &'a str) -> Lookup<'a> {
        Box::pin(async {
            let mut lists = self.0.lock().unwrap();
            if lists.len() > 1 { Ok(lists.remove(0)) } else { Ok(lists[0].clone()) }
        })
    }
}

impl Server {
    async fn start(at: &str, reply: Reply) -> Self {
        let listener = TcpListener::bind(at).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (visits, heads) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let server = Self { address, visits: Arc::clone(&visits), heads: Arc::clone(&heads) };
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                visits.fetch_add(1, Ordering::SeqCst);
                let heads = Arc::clone(&heads);
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let Ok(byte) = stream.read_u8().await else { return };
                        head.push(byte);
                    }
                    let head = String::from_utf8(head).unwrap();
                    heads.lock().unwrap().push(head.clone());
                    reply(stream, head).await;
                });
            }
        });
        server
    }

    fn url(&self, host: &str, path: &str) -> String {
        format!("http://{host}:{}{path}", self.address.port())
    }

    fn visits(&self) -> usize {
        self.visits.load(Ordering::SeqCst)
    }
}

fn outgoing(ports: &[u16], answers: &[&[&str]]) -> Outgoing {
    let policy = Policy::new(PolicySettings {
        allow_cidrs: vec!["127.0.0.1".parse().unwrap()],
        webhook_http: true,
        extra_ports: ports.to_vec(),
        ..PolicySettings::default()
    });
    let lists = answers.iter().map(|list| list.iter().map(|one| one.parse().unwrap()).collect()).collect();
    let mut outgoing = Outgoing::new(policy, Arc::new(Answers(Mutex::new(lists)))).unwrap();
    outgoing.limits = Limits { total: Duration::from_millis(700), image_bytes: 1000 };
    outgoing
}

/// Serves by path; `/hop/n` redirects n times.
fn by_path(mut stream: TcpStream, head: String) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        let path = head.split(' ').nth(1).unwrap().to_owned();
        let found = |location: String| {
            format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n")
        };
        let port = stream.local_addr().unwrap().port();
        let answer = match path.as_str() {
            "/ok" => "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello".to_owned(),
            "/missing" => "HTTP/1.1 404 Not Found\r\ncontent-length: 5\r\n\r\nhello".to_owned(),
            "/gzip" => {
                "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 5\r\n\r\nhello".to_owned()
            }
            "/huge" => "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\nhello".to_owned(),
            "/cut" => "HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\nhello".to_owned(),
            "/nowhere" => "HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n".to_owned(),
            "/literal" => found(format!("http://127.0.0.2:{port}/secret")),
            "/decimal" => found(format!("http://2130706434:{port}/secret")),
            "/private" => found("http://10.0.0.1/".to_owned()),
            "/file" => found("file:///etc/passwd".to_owned()),
            "/name" => found(format!("http://localhost:{port}/")),
            "/loop" => found("/loop".to_owned()),
            "/moved" => found(format!("http://rebind.test:{port}/ok")),
            "/busy" => "HTTP/1.1 503 Busy\r\nretry-after: 120\r\ncontent-length: 0\r\n\r\n".to_owned(),
            "/endless" => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
                while stream.write_all(b"64\r\n").await.is_ok()
                    && stream.write_all(&[b'x'; 100]).await.is_ok()
                    && stream.write_all(b"\r\n").await.is_ok()
                {}
                return;
            }
            "/silent" => {
                // Holds the connection until the client gives up.
                let _ = stream.read_to_end(&mut Vec::new()).await;
                return;
            }
            "/stuck" => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\nhello").await.unwrap();
                let _ = stream.read_to_end(&mut Vec::new()).await;
                return;
            }
            "/drip" => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n").await.unwrap();
                let mut tick = tokio::time::interval(Duration::from_millis(50));
                while stream.write_all(b"x").await.is_ok() {
                    tick.tick().await;
                }
                return;
            }
            hop => match hop.strip_prefix("/hop/").and_then(|left| left.parse::<u32>().ok()) {
                Some(0) => "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlast".to_owned(),
                Some(left) => found(format!("/hop/{}", left - 1)),
                None => panic!("no such path: {hop}"),
            },
        };
        stream.write_all(answer.as_bytes()).await.unwrap();
    })
}

async fn fetch(server: &Server, path: &str) -> Result<Bytes, FetchError> {
    let outgoing = outgoing(&[server.address.port()], &[&["127.0.0.1"]]);
    outgoing.fetch_image(&server.url("picture.test", path)).await
}

fn message() -> Post {
    Post { headers: HeaderMap::new(), body: Bytes::from_static(b"{}") }
}

#[tokio::test]
async fn a_picture_comes_without_anything_of_ours_going_out() {
    let server = Server::start("127.0.0.1:0", by_path).await;
    assert_eq!(fetch(&server, "/ok").await.unwrap(), "hello");
    let head = server.heads.lock().unwrap()[0].to_lowercase();
    assert!(head.starts_with("get /ok http/1.1"), "{head}");
    assert!(head.contains("host: picture.test:") && head.contains("accept-encoding: identity"), "{head}");
    assert!(
        !head.contains("cookie") && !head.contains("authorization") && !head.contains("referer"),
        "{head}"
    );
}

#[tokio::test]
async fn three_redirects_are_followed_and_a_fourth_is_not() {
    let server = Server::start("127.0.0.1:0", by_path).await;
    assert_eq!(fetch(&server, "/hop/3").await.unwrap(), "last");
    for path in ["/hop/4", "/loop"] {
        let visits = server.visits();
        let error = fetch(&server, path).await.unwrap_err();
        assert!(matches!(error, FetchError::Refused(Refusal::TooManyRedirects)), "{error}");
        assert_eq!(server.visits() - visits, 4);
    }
}

#[tokio::test]
async fn a_redirect_cannot_lead_where_a_first_url_could_not() {
    let server = Server::start("127.0.0.1:0", by_path).await;
    let inner = Server::start(&format!("127.0.0.2:{}", server.address.port()), by_path).await;
    for path in ["/literal", "/decimal", "/private", "/file", "/name"] {
        let error = fetch(&server, path).await.unwrap_err();
        assert!(matches!(error, FetchError::Refused(_)), "{path}: {error}");
    }
    assert!(matches!(fetch(&server, "/nowhere").await, Err(FetchError::Failed(_))));
    assert_eq!(inner.visits(), 0);
}

#[tokio::test]
async fn a_name_that_changes_its_address_is_judged_anew_for_every_connection() {
    let server = Server::start("127.0.0.1:0", by_path).await;
    let inner = Server::start(&format!("127.0.0.2:{}", server.address.port()), by_path).await;
    let port = server.address.port();
    let url = server.url("rebind.test", "/ok");

    // Good when it was registered, bad when it is used.
    let changing = outgoing(&[port], &[&["127.0.0.1"], &["127.0.0.2"]]);
    assert_eq!(changing.check(Purpose::Webhook, &url).await, Ok(()));
    assert!(matches!(changing.post(&url, message()).await, Err(PostError::Refused(Refusal::Address))));

    // Good for the first hop, bad for the second to the same name.
    let changing = outgoing(&[port], &[&["127.0.0.1"], &["127.0.0.2"]]);
    let error = changing.fetch_image(&server.url("rebind.test", "/moved")).await.unwrap_err();
    assert!(matches!(error, FetchError::Refused(Refusal::Address)), "{error}");

    // Both at once, in either order.
    for mixed in [["127.0.0.1", "127.0.0.2"], ["127.0.0.2", "127.0.0.1"]] {
        let error = outgoing(&[port], &[&mixed]).fetch_image(&url).await.unwrap_err();
        assert!(matches!(error, FetchError::Refused(Refusal::Address)), "{error}");
    }
    assert_eq!(inner.visits(), 0);
    assert_eq!(server.visits(), 1, "only the first hop");
}

#[tokio::test]
async fn no_server_gets_more_bytes_or_time_than_there_are() {
    let server = Server::start("127.0.0.1:0", by_path).await;
    assert!(matches!(fetch(&server, "/huge").await, Err(FetchError::TooLarge)));
    assert!(matches!(fetch(&server, "/endless").await, Err(FetchError::TooLarge)));
    for path in ["/cut", "/gzip", "/missing", "/silent", "/drip"] {
        let error = fetch(&server, path).await.unwrap_err();
        assert!(matches!(error, FetchError::Failed(_)), "{path}: {error}");
        assert!(!error.to_string().contains("picture.test"), "{error}");
    }
}

#[tokio::test]
async fn a_message_is_sent_once_and_its_answer_is_a_status() {
    let server = Server::start("127.0.0.1:0", by_path).await;
    let outgoing = outgoing(&[server.address.port()], &[&["127.0.0.1"]]);
    let post = async |path: &str| outgoing.post(&server.url("hook.test", path), message()).await;
    assert_eq!(post("/ok").await.unwrap(), PostAnswer { status: 200, retry_after: None });
    let busy = PostAnswer { status: 503, retry_after: Some(Duration::from_secs(120)) };
    assert_eq!(post("/busy").await.unwrap(), busy);
    let visits = server.visits();
    assert_eq!(post("/literal").await.unwrap().status, 302);
    assert_eq!(server.visits() - visits, 1, "no redirect is followed");
    assert_eq!(post("/endless").await.unwrap().status, 200, "an endless answer is cut off");
    assert_eq!(post("/drip").await.unwrap().status, 200, "the status came in time, its body never ends");
    assert_eq!(post("/stuck").await.unwrap().status, 200, "the status came in time, its body never does");
    assert!(matches!(post("/silent").await, Err(PostError::Timeout)));
}
