//! Writes that are held back until all that belongs to a request is known, so that they become durable together with the
//! answer to it or not at all. What a store reads meanwhile is what was there before.

use std::any::Any;
use std::cell::RefCell;

tokio::task_local! {
    static HELD: RefCell<Vec<Box<dyn Any + Send>>>;
}

/// Writes of one store, in order; dropped, they never happen.
#[derive(Default)]
pub struct HeldWrites(Vec<Box<dyn Any + Send>>);

impl HeldWrites {
    /// Those of a store whose writes are `W`.
    pub(super) fn writes<W: 'static>(self) -> impl Iterator<Item = W> {
        self.0.into_iter().filter_map(|write| write.downcast().ok().map(|write| *write))
    }
}

/// Runs `deed` and holds back what it writes by its own task. What it hands to another task is not held.
pub async fn hold_back<T>(deed: impl Future<Output = T>) -> (T, HeldWrites) {
    HELD.scope(RefCell::default(), async {
        let done = deed.await;
        (done, HeldWrites(HELD.with(RefCell::take)))
    })
    .await
}

/// Whether writes are held back here.
pub(super) fn holding() -> bool {
    HELD.try_with(|_| ()).is_ok()
}

/// Takes a write, or gives it back where none are held.
pub(super) fn hold<W: Send + 'static>(write: W) -> Result<(), W> {
    if !holding() {
        return Err(write);
    }
    HELD.with(|held| held.borrow_mut().push(Box::new(write)));
    Ok(())
}
