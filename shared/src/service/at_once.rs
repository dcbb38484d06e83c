//! Work on many things, some of them at the same time, so that a slow one does not hold up the others.

use futures_util::stream::{FuturesUnordered, StreamExt};

/// Does `work` on each of the `things`, on up to `limit` of them at the same time. The next one is taken when one is done.
pub(super) async fn for_each<T, Work: Future<Output = ()>>(
    things: impl IntoIterator<Item = T>,
    limit: usize,
    work: impl Fn(T) -> Work,
) {
    let mut things = things.into_iter();
    let mut running = FuturesUnordered::new();
    loop {
        while running.len() < limit
            && let Some(thing) = things.next()
        {
            running.push(work(thing));
        }
        if running.next().await.is_none() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::time::Duration;

    use tokio::time::{Instant, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn slow_thing_holds_up_no_other() {
        let (start, running, most) = (Instant::now(), Cell::new(0), Cell::new(0));
        let ends = RefCell::new(Vec::new());
        for_each([60, 1, 1, 1, 1], 2, async |seconds| {
            running.set(running.get() + 1);
            most.set(running.get().max(most.get()));
            sleep(Duration::from_secs(seconds)).await;
            running.set(running.get() - 1);
            ends.borrow_mut().push(start.elapsed().as_secs());
        })
        .await;
        assert_eq!((ends.into_inner(), most.get()), (vec![1, 2, 3, 4, 60], 2));
    }

    #[tokio::test]
    async fn things_are_taken_one_by_one() {
        let done = Cell::new(0);
        for_each((0..100).take_while(|_| done.get() < 5), 3, async |_| done.set(done.get() + 1)).await;
        assert!((5..=8).contains(&done.get()), "{}", done.get());
    }
}
