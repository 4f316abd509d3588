//! Calls a closure for many items on all cores. Shared with `build.rs`.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Calls `work` for each item, and returns the results in the order of the items. After the first error no new item is
/// started.
pub fn map<T: Sync, R: Send, E: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Ok(Vec::with_capacity(items.len())));
    let worker = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { return };
            let result = work(item);
            let mut done = done.lock().expect("no worker panics while it holds the lock");
            match (result, &mut *done) {
                (Ok(result), Ok(results)) => results.push((index, result)),
                (Err(error), Ok(_)) => *done = Err(error),
                (_, Err(_)) => {}
            }
            if done.is_err() {
                next.store(items.len(), Ordering::Relaxed);
            }
        }
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores.min(items.len()) {
            scope.spawn(worker);
        }
    });
    let mut results = done.into_inner().expect("no worker panics while it holds the lock")?;
    results.sort_unstable_by_key(|(index, _)| *index);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}
