//! What a script may use of the node.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mlua::Lua;

/// Bytes that one interpreter holds at most, its cached scripts included.
pub const MEMORY_BYTES_MAX: usize = 128 << 20;
/// Tables inside each other, in JSON and in a script's answer: what fits the stack of a thread in a debug build too.
pub const DEPTH_MAX: usize = 200;
/// Bytes of one text that a library function makes.
pub const TEXT_BYTES_MAX: usize = 64 << 20;
/// Values in a script's answer.
pub const ANSWER_VALUES_MAX: usize = 4 << 20;
/// Bytes of the texts in a script's answer: one text may be in it many times.
pub const ANSWER_BYTES_MAX: usize = 256 << 20;
/// The clock is looked at after so many instructions of Lua.
pub(crate) const INSTRUCTIONS_PER_LOOK: u32 = 1 << 12;

const _: () = assert!(TEXT_BYTES_MAX < MEMORY_BYTES_MAX);

/// Bytes that may be put into Lua without a look at the limit.
const UNLIMITED_BYTES_MAX: usize = 1 << 20;

/// Lifts the limit of memory while Rust puts a little into Lua.
///
/// Under a limit each string and each table is made inside a protected call, which takes several times as long as what it
/// protects. No code of a script runs meanwhile; its next allocation meets the limit as ever.
pub(crate) struct Unlimited<'l>(&'l Lua);

impl Unlimited<'_> {
    /// For putting in so many bytes; none if that is not little.
    pub(crate) fn enter(lua: &Lua, bytes: usize) -> Option<Unlimited<'_>> {
        let little = bytes <= UNLIMITED_BYTES_MAX;
        (little && lua.set_memory_limit(0).is_ok()).then_some(Unlimited(lua))
    }
}

impl Drop for Unlimited<'_> {
    fn drop(&mut self) {
        self.0
            .set_memory_limit(MEMORY_BYTES_MAX)
            .expect("it was lifted the same way");
    }
}

/// What is raised when the time of a script is over. Whoever catches an error asks the timer, so nothing keeps it alive.
pub(crate) const TIME_OVER: &str = "the script ran longer than its limit";

/// Who says how long a script may run.
///
/// It is asked by the thread that runs the script, in between: every few thousand instructions of Lua, at each command, and
/// within library functions that take long.
pub trait Overseer: Send + Sync {
    /// How long a script runs before it is asked for the first time.
    fn first(&self) -> Duration;

    /// What becomes of a script that has run for so long.
    fn ask(&self, ran: Duration) -> Verdict;
}

/// What becomes of a script that runs long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on; ask again when it has run for so long, counted from its start.
    Continue(Duration),
    /// It ends now, whatever it tries.
    End,
}

/// A fixed time, and no questions in between.
impl Overseer for Duration {
    fn first(&self) -> Duration {
        *self
    }

    fn ask(&self, _: Duration) -> Verdict {
        Verdict::End
    }
}

/// Until when a script may run. Shared with the functions that it calls.
#[derive(Clone, Debug)]
pub(crate) struct Timer(Arc<Clock>);

/// Times are in microseconds after `zero`.
struct Clock {
    zero: Instant,
    started: AtomicU64,
    /// When the overseer is asked next; at once if the time is over.
    next: AtomicU64,
    over: AtomicBool,
    overseer: Mutex<Option<Arc<dyn Overseer>>>,
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock")
            .field("next", &self.next)
            .field("over", &self.over)
            .finish_non_exhaustive()
    }
}

impl Timer {
    pub(crate) fn new() -> Timer {
        Timer(Arc::new(Clock {
            zero: Instant::now(),
            started: AtomicU64::new(0),
            next: AtomicU64::new(u64::MAX),
            over: AtomicBool::new(false),
            overseer: Mutex::new(None),
        }))
    }

    pub(crate) fn start(&self, overseer: &Arc<dyn Overseer>) {
        let clock = &*self.0;
        let now_us = clock.now_us();
        clock.set_overseer(overseer);
        clock.over.store(false, Ordering::Relaxed);
        clock.started.store(now_us, Ordering::Relaxed);
        let next_us = now_us.saturating_add(microseconds(overseer.first()));
        clock.next.store(next_us, Ordering::Relaxed);
    }

    pub(crate) fn stop(&self) {
        self.0.next.store(u64::MAX, Ordering::Relaxed);
    }

    pub(crate) fn is_over(&self) -> bool {
        let now_us = self.0.now_us();
        now_us >= self.0.next.load(Ordering::Relaxed) && self.0.ask(now_us)
    }
}

impl Clock {
    fn now_us(&self) -> u64 {
        microseconds(self.zero.elapsed())
    }

    fn set_overseer(&self, overseer: &Arc<dyn Overseer>) {
        let mut known = self.overseer.lock().unwrap_or_else(PoisonError::into_inner);
        // Most often it is the same one.
        if known
            .as_ref()
            .is_none_or(|known| !Arc::ptr_eq(known, overseer))
        {
            *known = Some(Arc::clone(overseer));
        }
    }

    #[cold]
    fn ask(&self, now_us: u64) -> bool {
        if self.over.load(Ordering::Relaxed) {
            return true;
        }
        let overseer = self
            .overseer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let started_us = self.started.load(Ordering::Relaxed);
        let ran = Duration::from_micros(now_us - started_us);
        match overseer.map_or(Verdict::End, |overseer| overseer.ask(ran)) {
            Verdict::Continue(again) => {
                let next_us = started_us.saturating_add(microseconds(again));
                self.next.store(next_us, Ordering::Relaxed);
                false
            }
            Verdict::End => {
                self.next.store(0, Ordering::Relaxed);
                self.over.store(true, Ordering::Relaxed);
                true
            }
        }
    }
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
