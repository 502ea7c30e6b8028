//! The replica under its lock, and what a panic there means.
//!
//! A panic leaves the replica half changed: rows that no log has, or that differ from those of the peers for good. Nothing
//! of it can be trusted, and nobody can tell how much. The log is right, so the process ends where the panic begins, with the
//! lock still held, and the next start brings back what the log holds. It does not wait for the stack to unwind, since
//! whoever is on it, a script's interpreter say, may stop that.

use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::sync::Once;

use parking_lot::MutexGuard;

use super::State;

thread_local! {
    /// How many locks of replicas this thread holds.
    static HELD: Cell<usize> = const { Cell::new(0) };
}

/// From here on a panic of a thread that holds a replica ends the process.
pub(super) fn watch_panics() {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(|| {
        let earlier = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            earlier(panic);
            // A thread that ends has no such value any more, and holds nothing.
            if HELD.try_with(Cell::get).is_ok_and(|held| held > 0) {
                stop("holding the replica");
            }
        }));
    });
}

/// The lock, held.
pub(super) struct Held<'d>(MutexGuard<'d, State>);

impl<'d> Held<'d> {
    pub(super) fn new(state: MutexGuard<'d, State>) -> Self {
        HELD.set(HELD.get() + 1);
        Held(state)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        HELD.set(HELD.get() - 1);
    }
}

impl Deref for Held<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.0
    }
}

impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.0
    }
}

/// Ends the process when a panic passes by, naming what was being done: what the node cannot be without.
pub(super) struct StopOnPanic(pub(super) &'static str);

impl Drop for StopOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            stop(self.0);
        }
    }
}

#[cold]
fn stop(doing: &str) -> ! {
    tracing::error!(
        "the node cannot go on: a panic while {doing}; its memory cannot be trusted any more, its log can: start it again, and report the panic"
    );
    std::process::exit(1)
}
