//! A real S3 server in this process, on a folder of its own, which can be made to fail as buckets do.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use s3s::S3Result;
use s3s::auth::{S3Auth, SecretKey};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The one who may.
pub(crate) const ACCESS_KEY: &str = "AKIDOFTHETESTS000001";
pub(crate) const SECRET_KEY: &str = "secret-of-the-tests-0123456789";

/// The bucket that is there from the start.
pub(crate) const BUCKET: &str = "clips";

/// What the server does with requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Works,
    /// Drops every connection.
    Down,
    /// Answers nothing, until the mood changes.
    Silent,
    /// Says that it has no room.
    Full,
    /// Says that nobody may.
    Refuses,
}

/// Who may, and by which secret.
#[derive(Clone)]
struct Owner(Arc<Mutex<(String, String)>>);

impl S3Auth for Owner {
    fn get_secret_key<'a, 'b, 'c>(
        &'a self,
        access_key: &'b str,
    ) -> Pin<Box<dyn Future<Output = S3Result<SecretKey>> + Send + 'c>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        let (known, secret) = self.0.lock().unwrap().clone();
        let found =
            if known == access_key { Ok(secret.into()) } else { Err(s3s::s3_error!(InvalidAccessKeyId)) };
        Box::pin(std::future::ready(found))
    }
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) uri: String,
    /// It carried credentials in a header.
    pub(crate) authorized: bool,
}

/// The running server; it ends when dropped.
pub(crate) struct Bucket {
    pub(crate) endpoint: String,
    mood: watch::Sender<Mood>,
    owner: Owner,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl Bucket {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(BUCKET)).unwrap();
        let mut service = S3ServiceBuilder::new(FileSystem::new(folder.path()).unwrap());
        let owner = Owner(Arc::new(Mutex::new((ACCESS_KEY.to_owned(), SECRET_KEY.to_owned()))));
        service.set_auth(owner.clone());
        let service = service.build();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (mood, moods) = watch::channel(Mood::Works);
        let asked = Arc::<Mutex<Vec<Asked>>>::default();
        let log = asked.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, service.clone(), moods.clone(), log.clone()));
            }
        });
        Self { endpoint, mood, owner, asked, task, _folder: folder }
    }

    /// From now on only this one may.
    pub(crate) fn hand_over(&self, access_key: &str, secret_key: &str) {
        *self.owner.0.lock().unwrap() = (access_key.to_owned(), secret_key.to_owned());
    }

    pub(crate) fn turn(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// Every request so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl Bucket {
    /// Waits for so many requests more.
    pub(crate) async fn until_asked(&self, more: usize) {
        let wanted = self.asked().len() + more;
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        while self.asked().len() < wanted {
            assert!(tokio::time::Instant::now() < deadline, "the bucket is asked no more");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    stream: TcpStream,
    service: S3Service,
    moods: watch::Receiver<Mood>,
    log: Arc<Mutex<Vec<Asked>>>,
) {
    let answer = service_fn(move |request: Request<Incoming>| {
        let (service, mut moods, log) = (service.clone(), moods.clone(), log.clone());
        async move {
            log.lock().unwrap().push(Asked {
                method: request.method().to_string(),
                uri: request.uri().to_string(),
                authorized: request.headers().contains_key("authorization"),
            });
            let mood = *moods.borrow_and_update();
            match mood {
                Mood::Works => {
                    let answer = service.call(request.map(s3s::Body::from)).await;
                    answer.map_err(|_| std::io::Error::from(std::io::ErrorKind::Other))
                }
                Mood::Down => Err(std::io::ErrorKind::ConnectionReset.into()),
                Mood::Silent => {
                    // The client gives up first, or the mood does.
                    drop(tokio::time::timeout(Duration::from_secs(60), moods.changed()).await);
                    Err(std::io::ErrorKind::TimedOut.into())
                }
                Mood::Full => Ok(refusal(StatusCode::INSUFFICIENT_STORAGE, "XMinioStorageFull")),
                Mood::Refuses => Ok(refusal(StatusCode::FORBIDDEN, "AccessDenied")),
            }
        }
    });
    // A connection that broke is the client's affair.
    drop(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await);
}

fn refusal(status: StatusCode, code: &str) -> Response<s3s::Body> {
    let text = format!(
        "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>as the test says</Message></Error>"
    );
    let mut answer = Response::new(s3s::Body::from(text));
    *answer.status_mut() = status;
    answer
}
