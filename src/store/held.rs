//! Writes that are held back until all that belongs to a request is known, so that they become durable together with the
//! answer to it and the entry in the audit log, or not at all. What a store reads meanwhile is what was there before.

use std::any::Any;
use std::cell::RefCell;

use super::{Pending, Store, StoreError};

tokio::task_local! {
    static HELD: RefCell<HeldWrites>;
}

/// Writes of one store, in order, and what is to be done once they are durable; dropped, neither happens.
#[derive(Default)]
pub struct HeldWrites {
    writes: Vec<Box<dyn Any + Send>>,
    afterwards: Vec<Box<dyn FnOnce() + Send>>,
}

/// Makes writes durable that were held back.
pub trait HeldStore: Send + Sync {
    /// All in one transaction, then what was to follow. If one of them is refused, none happens.
    fn commit(&self, held: HeldWrites) -> Pending<'_, ()>;
}

impl HeldWrites {
    /// Those of a store whose writes are `W`, and what follows.
    pub(super) fn parts<W: 'static>(self) -> (Vec<W>, impl FnOnce()) {
        let writes = self.writes.into_iter().filter_map(|write| write.downcast().ok().map(|write| *write));
        (writes.collect(), move || self.afterwards.into_iter().for_each(|deed| deed()))
    }
}

/// Runs `deed` and holds back what it writes by its own task. What it hands to another task is not held.
pub async fn hold_back<T>(deed: impl Future<Output = T>) -> (T, HeldWrites) {
    HELD.scope(RefCell::default(), async {
        let done = deed.await;
        (done, HELD.with(RefCell::take))
    })
    .await
}

/// Runs `deed` and makes all that it writes durable at once, if it succeeds. Inside another such deed: together with that one.
pub async fn together<T, E: From<StoreError>>(
    store: &dyn Store,
    deed: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let (done, held) = hold_back(deed).await;
    let done = done?;
    if holding() {
        HELD.with(|outer| {
            let mut outer = outer.borrow_mut();
            outer.writes.extend(held.writes);
            outer.afterwards.extend(held.afterwards);
        });
    } else {
        store.commit(held).await?;
    }
    Ok(done)
}

/// Does something once what was written here is durable: at once where nothing is held back.
pub fn once_durable(deed: impl FnOnce() + Send + 'static) {
    if holding() {
        HELD.with(|held| held.borrow_mut().afterwards.push(Box::new(deed)));
    } else {
        deed();
    }
}

/// Whether writes are held back here.
pub fn holding() -> bool {
    HELD.try_with(|_| ()).is_ok()
}

/// Takes a write, or gives it back where none are held.
pub(super) fn hold<W: Send + 'static>(write: W) -> Result<(), W> {
    if !holding() {
        return Err(write);
    }
    HELD.with(|held| held.borrow_mut().writes.push(Box::new(write)));
    Ok(())
}
