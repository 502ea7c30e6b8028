//! What a script may use of the node.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Bytes that one interpreter holds at most, its cached scripts included.
pub const MEMORY_BYTES_MAX: usize = 128 << 20;
/// Tables inside each other, in JSON and in a script's answer: what fits the stack of a thread in a debug build too.
pub const DEPTH_MAX: usize = 200;
/// Bytes of one text that a library function makes.
pub const TEXT_BYTES_MAX: usize = 64 << 20;
/// Values in a script's answer.
pub const ANSWER_VALUES_MAX: usize = 4 << 20;
/// The clock is looked at after so many instructions of Lua.
pub(crate) const INSTRUCTIONS_PER_LOOK: u32 = 1 << 12;

const _: () = assert!(TEXT_BYTES_MAX < MEMORY_BYTES_MAX);

/// Until when a script may run. Shared with the functions that it calls.
#[derive(Clone, Debug)]
pub(crate) struct Timer {
    zero: Instant,
    /// Microseconds after `zero`.
    end: Arc<AtomicU64>,
}

impl Timer {
    pub(crate) fn new() -> Timer {
        Timer {
            zero: Instant::now(),
            end: Arc::new(AtomicU64::new(u64::MAX)),
        }
    }

    pub(crate) fn start(&self, limit: Duration) {
        let end = (self.zero.elapsed() + limit).as_micros();
        self.end
            .store(u64::try_from(end).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn stop(&self) {
        self.end.store(u64::MAX, Ordering::Relaxed);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.zero.elapsed().as_micros() >= u128::from(self.end.load(Ordering::Relaxed))
    }
}
