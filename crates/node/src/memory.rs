//! How many bytes the process has allocated, at a cost of about a nanosecond per allocation.
//!
//! What the operating system counts is more: pages that are partly free, and what the allocator keeps for later (`docs/operations.md`
//! says how much). But only what is counted here falls at once when rows leave memory, so it is what `memory.max` bounds.

#![allow(
    unsafe_code,
    reason = "an allocator cannot be written without; each call goes to mimalloc as it came"
)]

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use mimalloc::MiMalloc;

/// So many threads count by themselves, each where no other writes. Those that come later share one count.
const OWN_COUNTS: usize = 64;

/// A count in a cache line of its own.
#[repr(align(128))]
struct Count(AtomicI64);

static COUNTS: [Count; OWN_COUNTS + 1] = [const { Count(AtomicI64::new(0)) }; OWN_COUNTS + 1];
static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Which count is this thread's; none before its first allocation.
    static PLACE: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// mimalloc, counting.
pub(crate) struct Counting;

// SAFETY: every call is handed to mimalloc as it came, and what it returns is returned.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: the caller's promises are those that mimalloc asks for.
        unsafe { MiMalloc.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: as above.
        unsafe { MiMalloc.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        // SAFETY: as above.
        unsafe { MiMalloc.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        count(bytes as i64 - layout.size() as i64);
        // SAFETY: as above.
        unsafe { MiMalloc.realloc(pointer, layout, bytes) }
    }
}

#[inline]
fn count(bytes: i64) {
    let place = PLACE.get();
    if place < OWN_COUNTS {
        // Nobody else writes here.
        let count = &COUNTS[place].0;
        count.store(count.load(Ordering::Relaxed) + bytes, Ordering::Relaxed);
    } else {
        count_elsewhere(place, bytes);
    }
}

#[cold]
fn count_elsewhere(place: usize, bytes: i64) {
    if place == usize::MAX {
        let place = THREADS.fetch_add(1, Ordering::Relaxed).min(OWN_COUNTS);
        PLACE.set(place);
        return count(bytes);
    }
    COUNTS[OWN_COUNTS].0.fetch_add(bytes, Ordering::Relaxed);
}

/// Bytes that are allocated now. Costs a look at 65 cache lines.
pub(crate) fn allocated_bytes() -> u64 {
    let counts = COUNTS.iter().map(|count| count.0.load(Ordering::Relaxed));
    counts.sum::<i64>().max(0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allocated_is_counted_by_whichever_thread() {
        let before = allocated_bytes();
        let threads = (0..2 * OWN_COUNTS).map(|_| std::thread::spawn(|| vec![0u8; 1 << 20]));
        let kept: Vec<Vec<u8>> = threads
            .map(|thread| thread.join().expect("it ends"))
            .collect();
        let with = allocated_bytes();
        let expected = kept.len() as u64 * (1 << 20);
        assert!(
            with - before >= expected,
            "{before} before, {with} with them"
        );
        drop(kept);
        let after = allocated_bytes();
        assert!(with - after >= expected, "{with} with them, {after} after");
    }
}
