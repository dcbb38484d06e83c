//! Many flows, each in a world of its own, some at a time.

use std::sync::Mutex;

use tokio::runtime::Builder;

/// How many flows go on at once. Most of the time each of them waits.
const AT_ONCE: usize = 6;

/// Does all of `work`.
pub fn all<T: Send>(work: Vec<T>, one: impl AsyncFn(T) + Sync) {
    let queue = Mutex::new(work.into_iter());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            // Futures are large without optimization.
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
