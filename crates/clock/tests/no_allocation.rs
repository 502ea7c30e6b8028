//! Clocks of up to four replicas never touch the allocator, whatever is done with them.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

use isles_clock::{Causality, Context, Dot, DotContext, Hlc, HybridClock, ReplicaId, VectorClock};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, counting per thread so that tests do not count each other's.
struct Counting;

#[expect(
    unsafe_code,
    reason = "an allocator cannot be written without; it only counts and hands on"
)]
// SAFETY: both methods hand their arguments on unchanged to the system's allocator, which keeps the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise about `pointer` and `layout` is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

/// A clock of `replicas` replicas, of which the first has written `first` times.
fn clock(replicas: u128, first: u64) -> VectorClock {
    (1..=replicas)
        .map(|id| (ReplicaId::from_u128(id), if id == 1 { first } else { 7 }))
        .collect()
}

fn everything_clocks_do(replicas: u128) {
    let (mut ours, theirs) = (clock(replicas, 3), clock(replicas, 9));
    assert_eq!(ours.compare(&theirs), Causality::Before);
    assert!(theirs.dominates(&ours) && ours < theirs);
    assert_eq!(theirs.iter().len(), black_box(theirs.clone()).len());
    assert!(ours.minus(&theirs).is_empty());
    ours.merge(&theirs);
    ours.intersect(&theirs);
    assert_eq!(ours, theirs);
    let dot = ours.next(ReplicaId::from_u128(1));
    assert!(ours.covers(dot) && !theirs.covers(dot));
    ours.remove(ReplicaId::from_u128(1));
    ours.observe(dot);
    let mut bytes = [0; 256];
    let bytes = postcard::to_slice(&ours, &mut bytes).expect("a small clock fits");
    assert_eq!(
        postcard::from_bytes::<VectorClock>(bytes).as_ref(),
        Ok(&ours)
    );
}

#[test]
fn four_replicas_need_no_allocation() {
    for replicas in 1..=4 {
        assert_eq!(allocations(|| everything_clocks_do(replicas)), 0);
    }
}

#[test]
fn merging_strangers_into_four_needs_no_allocation() {
    let work = || {
        let mut left = VectorClock::from_iter([1, 3].map(|id| (ReplicaId::from_u128(id), 1)));
        let right = VectorClock::from_iter([2, 4].map(|id| (ReplicaId::from_u128(id), 1)));
        left.merge(&right);
        assert_eq!((left.len(), left.dominates(&right)), (4, true));
    };
    assert_eq!(allocations(work), 0);
}

#[test]
fn five_replicas_are_seen_by_the_counter() {
    assert!(allocations(|| everything_clocks_do(5)) > 0);
}

#[test]
fn a_context_without_holes_needs_no_allocation() {
    let replica = ReplicaId::from_u128(1);
    let work = || {
        let mut seen = DotContext::from(clock(4, 3));
        seen.insert(Dot::new(replica, 4));
        let next = seen.next(replica);
        let mut other = DotContext::from(clock(4, 9));
        other.merge(&seen);
        assert!(other.dominates(&seen) && other.covers(next));
    };
    assert_eq!(allocations(work), 0);
}

#[test]
fn readings_need_no_allocation() {
    let work = || {
        let mut clock = HybridClock::new(Hlc::ZERO, 500);
        let first = clock.now(1_000);
        clock.observe(Hlc::new(1_200, 0), 1_000);
        assert!(clock.now(900) > first);
    };
    assert_eq!(allocations(work), 0);
}
