//! Waits for a future on the calling thread, whichever that is.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use tokio::runtime::Runtime;

/// The future's answer, or none after `patience`. Polled here, while its timers and what it spawns are the runtime's.
///
/// Not the runtime's own `block_on`, which panics on a thread of any runtime: a caller there may well have decided to block.
pub(super) fn wait<T>(
    runtime: &Runtime,
    patience: Duration,
    future: impl Future<Output = T>,
) -> Option<T> {
    let _entered = runtime.enter();
    let mut future = pin!(tokio::time::timeout(patience, future));
    let woken = Arc::new(Woken {
        thread: thread::current(),
        is_set: AtomicBool::new(false),
    });
    let waker = Waker::from(Arc::clone(&woken));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(answer) = future.as_mut().poll(&mut context) {
            return answer.ok();
        }
        woken.sleep();
    }
}

/// Wakes the thread that waits.
struct Woken {
    thread: Thread,
    /// Kept besides the thread's own token, which a wait within this one may take.
    is_set: AtomicBool,
}

impl Woken {
    fn sleep(&self) {
        while !self.is_set.swap(false, Ordering::Acquire) {
            thread::park();
        }
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_set.store(true, Ordering::Release);
        self.thread.unpark();
    }
}
