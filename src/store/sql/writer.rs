//! The only connection that writes. Whoever comes while a commit is on its way to the disk shares the next one.

use std::future::Future;
use std::pin::Pin;

use tokio::sync::{mpsc, oneshot};

use super::engine::Connection;
use crate::store::StoreError;
use crate::store::held::hold;

/// Operations that share one commit at most: enough to pay for the sync, few enough to answer soon.
const LARGEST_BATCH: usize = 256;

/// Operations that may wait before callers do.
const LONGEST_LINE: usize = 4096;

/// The future of one operation inside the transaction.
pub(super) type Step<'c, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'c>>;

/// A write with nothing to tell, which can be held back.
pub(super) type Write = Box<dyn for<'c> FnOnce(&'c mut Connection) -> Step<'c, ()> + Send>;

/// Sends operations to the writing task.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    line: mpsc::Sender<Box<dyn Pending>>,
}

impl Writer {
    /// Starts the writing task; it ends when the last sender is gone.
    pub(super) fn start(link: impl Link) -> Self {
        let (line, operations) = mpsc::channel(LONGEST_LINE);
        tokio::spawn(write(link, operations));
        Self { line }
    }

    /// Runs `operation` in the next transaction and answers once that is durable.
    /// An operation that refuses must not have written; one that cannot reach the database takes its whole batch down, the
    /// refusals in it included.
    pub(super) async fn run<T, F>(&self, operation: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Connection) -> Step<'c, T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let entry = Entry { operation: Some(operation), result: None, reply };
        let gone = || StoreError::Unavailable("the writer has ended".to_owned());
        self.line.send(Box::new(entry)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// The same for a write that has nothing to tell: held back where writes are.
    pub(super) async fn write<F>(&self, operation: F) -> Result<(), StoreError>
    where
        F: for<'c> FnOnce(&'c mut Connection) -> Step<'c, ()> + Send + 'static,
    {
        match hold::<Write>(Box::new(operation)) {
            Ok(()) => Ok(()),
            Err(operation) => self.run(operation).await,
        }
    }

    /// Writes that were held back, all or none: a refusal undoes those before it, and nothing of anybody else.
    pub(super) async fn write_all(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        self.run(move |connection| {
            Box::pin(async move {
                connection.query("savepoint held").run().await?;
                for write in writes {
                    if let Err(refusal) = write(&mut *connection).await {
                        connection.query("rollback to held").run().await?;
                        connection.query("release held").run().await?;
                        return Err(refusal);
                    }
                }
                connection.query("release held").run().await?;
                Ok(())
            })
        })
        .await
    }
}

/// The one connection that writes: how its transactions begin and end.
pub(in crate::store) trait Link: Send + 'static {
    /// Begins a transaction in which nobody else writes.
    fn begin(&mut self) -> impl Future<Output = Result<&mut Connection, StoreError>> + Send;

    /// Makes it durable.
    fn commit(&mut self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Undoes it.
    fn abandon(&mut self) -> impl Future<Output = ()> + Send;

    /// Returns when an idle connection should be tended.
    fn idle(&self) -> impl Future<Output = ()> + Send;

    /// Looks after it while nobody writes.
    fn tend(&mut self) -> impl Future<Output = ()> + Send;

    /// Ends in good order.
    fn close(self) -> impl Future<Output = Result<(), StoreError>> + Send;
}

async fn write(mut link: impl Link, mut operations: mpsc::Receiver<Box<dyn Pending>>) {
    loop {
        let next = tokio::select! {
            biased;
            next = operations.recv() => next,
            () = link.idle() => {
                link.tend().await;
                continue;
            }
        };
        let Some(first) = next else { break };
        let mut batch = vec![first];
        while batch.len() < LARGEST_BATCH
            && let Ok(next) = operations.try_recv()
        {
            batch.push(next);
        }
        let outcome = commit(&mut link, &mut batch).await;
        if let Err(error) = &outcome {
            tracing::error!(operations = batch.len(), %error, "a batch of writes was rolled back");
        }
        for operation in batch {
            operation.finish(&outcome);
        }
    }
    if let Err(error) = link.close().await {
        tracing::warn!(%error, "the store did not close cleanly");
    }
}

/// One transaction for the whole batch.
async fn commit(link: &mut impl Link, batch: &mut [Box<dyn Pending>]) -> Result<(), String> {
    let connection = link.begin().await.map_err(why)?;
    for operation in batch {
        if let Err(error) = operation.run(&mut *connection).await {
            link.abandon().await;
            return Err(error);
        }
    }
    link.commit().await.map_err(why)
}

/// Without what the error that is made of it says again.
fn why(error: StoreError) -> String {
    if let StoreError::Unavailable(why) = error { why } else { error.to_string() }
}

/// An operation whose types are forgotten.
trait Pending: Send {
    /// Fails only if the database does.
    fn run<'c>(
        &'c mut self,
        connection: &'c mut Connection,
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'c>>;

    /// Answers whoever waits.
    fn finish(self: Box<Self>, committed: &Result<(), String>);
}

struct Entry<T, F> {
    operation: Option<F>,
    result: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Pending for Entry<T, F>
where
    T: Send + 'static,
    F: for<'c> FnOnce(&'c mut Connection) -> Step<'c, T> + Send + 'static,
{
    fn run<'c>(
        &'c mut self,
        connection: &'c mut Connection,
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'c>> {
        Box::pin(async move {
            let Some(operation) = self.operation.take() else { return Ok(()) };
            let result = operation(connection).await;
            if let Err(StoreError::Unavailable(why)) = result {
                return Err(why);
            }
            self.result = Some(result);
            Ok(())
        })
    }

    fn finish(self: Box<Self>, committed: &Result<(), String>) {
        let answer = match (committed, self.result) {
            (Ok(()), Some(result)) => result,
            // A refusal too: what it saw may be what an earlier operation of the batch had written.
            (Err(why), _) => Err(StoreError::Unavailable(why.clone())),
            (Ok(()), None) => Err(StoreError::Unavailable("the operation did not run".to_owned())),
        };
        // Whoever asked may have gone; what was committed stays.
        let _ = self.reply.send(answer);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use sqlx::sqlite::SqlitePoolOptions;

    use super::*;

    /// A table in memory, and how many of the first commits fail.
    struct Fake {
        connection: Connection,
        failures: usize,
        commits: Arc<AtomicUsize>,
    }

    impl Link for Fake {
        async fn begin(&mut self) -> Result<&mut Connection, StoreError> {
            self.connection.query("begin").run().await?;
            Ok(&mut self.connection)
        }

        async fn commit(&mut self) -> Result<(), StoreError> {
            if self.commits.fetch_add(1, Ordering::Relaxed) < self.failures {
                self.abandon().await;
                return Err(StoreError::Unavailable("cut".to_owned()));
            }
            self.connection.query("commit").run().await.map(|_| ())
        }

        async fn abandon(&mut self) {
            self.connection.query("rollback").run().await.unwrap();
        }

        async fn idle(&self) {
            std::future::pending().await
        }

        async fn tend(&mut self) {}

        async fn close(self) -> Result<(), StoreError> {
            self.connection.close().await
        }
    }

    async fn writer(failures: usize) -> (Writer, Arc<AtomicUsize>) {
        let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap();
        let mut connection = Connection::Sqlite(pool.acquire().await.unwrap());
        connection.query("create table taken (name text)").run().await.unwrap();
        let commits = Arc::new(AtomicUsize::new(0));
        let link = Fake { connection, failures, commits: Arc::clone(&commits) };
        (Writer::start(link), commits)
    }

    /// Refuses if it was there first.
    async fn take(writer: &Writer) -> Result<(), StoreError> {
        writer
            .run(|connection| {
                Box::pin(async move {
                    let found = connection.query("select name from taken").optional().await?;
                    if found.is_some() {
                        return Err(StoreError::Exists);
                    }
                    connection.query("insert into taken values ('a')").run().await.map(|_| ())
                })
            })
            .await
    }

    #[tokio::test]
    async fn a_refusal_that_rests_on_what_was_rolled_back_is_not_told() {
        let (writer, commits) = writer(1).await;
        // Both stand in line before the writing task runs.
        let told = tokio::join!(take(&writer), take(&writer));
        assert_eq!(commits.load(Ordering::Relaxed), 1, "they share a transaction");
        assert!(
            matches!(told, (Err(StoreError::Unavailable(_)), Err(StoreError::Unavailable(_)))),
            "{told:?}"
        );
        let told = tokio::join!(take(&writer), take(&writer));
        assert!(matches!(told, (Ok(()), Err(StoreError::Exists))), "{told:?}");
        assert_eq!(commits.load(Ordering::Relaxed), 2);
    }
}
