//! Runs many flows in parallel, each with its own stack.

use std::sync::Mutex;

use tokio::runtime::Builder;

/// Number of flows at once. Flows wait most of the time.
const AT_ONCE: usize = 6;

/// Runs `one` for each item of `work`.
pub fn all<T: Send>(work: Vec<T>, one: impl AsyncFn(T) + Sync) {
    let queue = Mutex::new(work.into_iter());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            // Futures are large in a build without optimization.
            let thread = std::thread::Builder::new().stack_size(32 << 20);
            let work = || {
                let runtime = Builder::new_current_thread().enable_all().build().unwrap();
                while let Some(next) = { queue.lock().unwrap().next() } {
                    runtime.block_on(one(next));
                }
            };
            thread.spawn_scoped(scope, work).unwrap();
        }
    });
}
