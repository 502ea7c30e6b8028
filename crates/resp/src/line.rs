//! The line of connections that wait for the replica: who asks first is served first.
//!
//! Nearly always the replica can be had at once, and the line is empty: then it costs one look at a word. It forms when
//! something holds the replica for long, a script say. From then on whoever asks goes to its end instead of trying, or
//! would come before those that stopped trying for a while. Only the first one tries. When it has been served all the
//! others are woken in their order: the runtime runs them in that order too, so that each finds itself the first one, and
//! what asks meanwhile runs after them and finds the line empty again.

use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, poll_fn};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// Connections that wait for the replica, in the order in which they asked.
#[derive(Debug, Default)]
pub(crate) struct Line {
    len: AtomicUsize,
    members: Mutex<Members>,
}

#[derive(Debug, Default)]
struct Members {
    next: u64,
    numbers: BTreeSet<u64>,
    /// Those who are not awake.
    wakers: BTreeMap<u64, Waker>,
}

impl Line {
    /// Whether nobody waits: one look at a word.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len.load(Ordering::Acquire) == 0
    }

    /// Goes to the end. Who drops the place has been served, or wants nothing any more.
    pub(crate) fn join(&self) -> Place<'_> {
        let mut members = self.members();
        let number = members.next;
        members.next += 1;
        members.numbers.insert(number);
        self.len.store(members.numbers.len(), Ordering::Release);
        Place { line: self, number }
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Members {
    fn is_first(&self, number: u64) -> bool {
        self.numbers.first() == Some(&number)
    }
}

/// Where somebody stands in the line.
#[derive(Debug)]
pub(crate) struct Place<'l> {
    line: &'l Line,
    number: u64,
}

impl Place<'_> {
    /// Waits until nobody is left who asked before.
    pub(crate) fn reached(&self) -> impl Future<Output = ()> {
        poll_fn(|context| {
            let mut members = self.line.members();
            if members.is_first(self.number) {
                return Poll::Ready(());
            }
            let waker = context.waker().clone();
            members.wakers.insert(self.number, waker);
            Poll::Pending
        })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut members = self.line.members();
        let was_first = members.is_first(self.number);
        members.numbers.remove(&self.number);
        members.wakers.remove(&self.number);
        self.line
            .len
            .store(members.numbers.len(), Ordering::Release);
        let woken = match was_first {
            true => std::mem::take(&mut members.wakers),
            false => BTreeMap::new(),
        };
        drop(members);
        woken.into_values().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::{Context, Wake};

    use super::*;

    /// Notes who is woken.
    struct Noting(usize, Arc<Mutex<Vec<usize>>>);

    impl Wake for Noting {
        fn wake(self: Arc<Self>) {
            self.1.lock().unwrap().push(self.0);
        }
    }

    #[test]
    fn all_are_woken_in_their_order_when_the_first_goes() {
        let (line, woken) = (Line::default(), Arc::default());
        assert!(line.is_empty());
        let mut places: Vec<Place<'_>> = (0..4).map(|_| line.join()).collect();
        let asks = |place: &Place<'_>, number| {
            let waker = Waker::from(Arc::new(Noting(number, Arc::clone(&woken))));
            pin!(place.reached()).poll(&mut Context::from_waker(&waker))
        };
        for number in [3, 1, 2] {
            assert!(asks(&places[number], number).is_pending());
        }
        assert!(asks(&places[0], 0).is_ready());
        // Who gives up lets nobody pass.
        drop(places.remove(2));
        assert_eq!(*woken.lock().unwrap(), [0; 0]);
        drop(places.remove(0));
        assert_eq!(*woken.lock().unwrap(), [1, 3]);
        assert!(asks(&places[0], 1).is_ready() && asks(&places[1], 3).is_pending());
        assert!(!line.is_empty());
        drop(places);
        assert!(line.is_empty());
    }
}
