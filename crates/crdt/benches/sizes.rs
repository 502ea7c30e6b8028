//! Bytes, on the wire and in memory, of this crate and its peers: `cargo bench -p isles-crdt --bench sizes`.
#![expect(clippy::print_stdout, reason = "a benchmark reports what it measured")]

#[path = "peers/crdts.rs"]
mod crdts;
#[path = "peers/isles.rs"]
mod isles;
#[path = "peers/kit.rs"]
mod kit;
#[expect(dead_code, reason = "the other bench needs more of it")]
#[path = "peers/subject.rs"]
mod subject;
#[path = "peers/types.rs"]
mod types;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use crate::subject::{Deltas, Subject, encode, filled, two};
use crate::types::{ELEMENTS, for_every_type};

thread_local! {
    static LIVE_BYTES: Cell<i64> = const { Cell::new(0) };
}

/// The system's allocator, which counts what is in use.
struct Counting;

#[expect(
    unsafe_code,
    reason = "an allocator cannot be written without; it only counts and hands on"
)]
// SAFETY: both methods hand their arguments on unchanged to the system's allocator, which keeps the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE_BYTES.set(LIVE_BYTES.get() + layout.size() as i64);
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE_BYTES.set(LIVE_BYTES.get() - layout.size() as i64);
        // SAFETY: the caller's promise about `pointer` and `layout` is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Elements that are added and removed again, each a new one.
const CHURN: u64 = 1_000_000;

/// The heap that a value holds.
fn heap<T>(make: impl FnOnce() -> T) -> (T, i64) {
    let before = LIVE_BYTES.get();
    let value = make();
    (value, LIVE_BYTES.get() - before)
}

fn churned<S: Subject>() -> S {
    let mut state = S::new(0);
    for n in 0..CHURN {
        state.put(n);
        state.remove(n);
    }
    state
}

/// The whole state of two replicas that have met, with so many elements between them.
fn wire<S: Subject>(elements: u64) -> usize {
    let (mut ours, theirs): (S, S) = two(elements);
    ours.merge(&mut Some(theirs));
    encode(ours.state()).len()
}

/// What a peer is sent for one element more, and one less.
fn wire_of_deltas<S: Deltas>(elements: u64) -> String {
    let (mut state, _): (S, S) = two(elements);
    let put = encode(&state.put_delta(u64::MAX)).len();
    let removed = encode(&state.remove_delta(u64::MAX)).len();
    format!("{put} | {removed}")
}

fn row<S: Subject>(kind: &str, elements: u64, deltas: &str) {
    let whole = wire::<S>(elements);
    print!("{kind} | {elements} | {} | {whole} | {deltas}", S::CRATE);
    if elements == *ELEMENTS.last().expect("there are some") {
        let (_full, bytes) = heap(|| filled::<S>(0, elements));
        print!(" | {:.1}", bytes as f64 / elements as f64);
        if kind.starts_with("aw") {
            let (emptied, rest) = heap(|| {
                let mut state: S = filled(0, elements);
                (0..elements).for_each(|n| state.remove(n));
                state
            });
            let wire_of_rest = encode(emptied.state()).len();
            let (_churned, residue) = heap(churned::<S>);
            print!(" | {rest} | {wire_of_rest} | {residue}");
        }
    }
    println!();
}

fn every_crate<I: Deltas, C: Subject, K: Deltas>(kind: &str, elements: u64) {
    row::<I>(kind, elements, &wire_of_deltas::<I>(elements));
    row::<C>(kind, elements, "- | -");
    row::<K>(kind, elements, &wire_of_deltas::<K>(elements));
}

fn main() {
    println!(
        "type | elements | crate | state | delta of one | of its removal | heap of each | heap when all are removed \
         | state then | heap after {CHURN} came and went"
    );
    for_every_type!(every_crate,);
}
