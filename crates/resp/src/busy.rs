//! The script that runs, and what others are told while it runs long.
//!
//! A script holds the replica from its first command to its last. After [`HAND_OVER_AFTER`] it gives its worker of the
//! runtime to another thread, so that sockets, timers and other nodes' keep-alives go on. After `lua-time-limit` it is
//! *late*: connections no longer wait for the replica but run their commands aside, on an empty replica, where all but a few
//! are refused with BUSY. SCRIPT KILL is one of the few. After `script-time-max` the script is ended in any case. However it is
//! ended, it is undone.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use isles_lua::{Overseer, Verdict};
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::call::is;
use crate::error::Failure;
use crate::spec::{Flags, Spec};

/// What `lua-time-limit` is unless set otherwise, as in Redis.
pub(crate) const LATE_AFTER_MS_DEFAULT: u64 = 5_000;
/// What `script-time-max` is unless set otherwise.
pub(crate) const TIME_MAX_MS_DEFAULT: u64 = 30_000;
/// What it can be at most: no script stalls a region for longer.
pub(crate) const TIME_MAX_MS_MAX: u64 = 600_000;
/// A script that runs longer than this no longer occupies a worker of the runtime.
const HAND_OVER_AFTER: Duration = Duration::from_millis(10);
/// How long a script waits at most for another thread to take its worker over.
const HAND_OVER_MAX: Duration = Duration::from_millis(100);
/// How often a script looks whether it is to end.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// What kind of script keeps others waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// EVAL and its kin.
    Script,
    /// FCALL and its kin.
    Function,
}

impl Kind {
    /// What a command is told that may not run now.
    pub(crate) fn refusal(self) -> Failure {
        let command = match self {
            Kind::Script => "SCRIPT",
            Kind::Function => "FUNCTION",
        };
        Failure::other(format!(
            "BUSY Redis is busy running a script. You can only call {command} KILL or SHUTDOWN NOSAVE."
        ))
    }
}

/// What becomes of a command while a script is late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aside {
    /// It needs nothing of the replica.
    Runs,
    /// It needs the replica, and must not be refused: a client that sends WATCH, MULTI and the rest at once would find its
    /// transaction executed without the condition.
    Waits,
    Refused,
}

/// Judges a command as Redis does by its flag `allow_busy`.
pub(crate) fn aside(spec: &Spec, args: &[&[u8]]) -> Aside {
    let subcommand = args.get(1).copied().unwrap_or_default();
    match spec.name {
        "watch" => Aside::Waits,
        "script" if is(subcommand, "KILL") => Aside::Runs,
        "function" if is(subcommand, "KILL") || is(subcommand, "STATS") => Aside::Runs,
        _ if spec.flags.has(Flags::ALLOW_BUSY) => Aside::Runs,
        _ => Aside::Refused,
    }
}

/// The script that runs: what it is asked, and what others see of it.
#[derive(Debug)]
pub(crate) struct Running {
    /// Zero, or the [`Tag`] of a script that is late.
    late: AtomicU64,
    /// The tag of the script that runs or ran last.
    tag: AtomicU64,
    /// The tag of a script that is to end.
    killed: AtomicU64,
    has_handed_over: AtomicBool,
    late_after_ms: AtomicU64,
    time_max_ms: AtomicU64,
    function: Mutex<Invoked>,
}

/// Instead of a tag: every script is to end.
const EVERY: u64 = u64::MAX;

/// A number that tells runs of scripts apart, whose last bit says of what kind they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tag(u64);

impl Tag {
    fn next(self, kind: Kind) -> Tag {
        Tag(((self.0 >> 1) + 1) << 1 | u64::from(kind == Kind::Function))
    }

    fn kind(self) -> Kind {
        match self.0 & 1 {
            0 => Kind::Script,
            _ => Kind::Function,
        }
    }
}

/// The function that runs, for FUNCTION STATS. Kept between calls so that noting one costs no allocation.
#[derive(Clone, Debug)]
pub(crate) struct Invoked {
    pub(crate) args: Vec<Vec<u8>>,
    started: Instant,
}

impl Invoked {
    pub(crate) fn ran(&self) -> Duration {
        self.started.elapsed()
    }

    fn note(&mut self, args: &[&[u8]]) {
        self.started = Instant::now();
        self.args
            .resize_with(args.len().min(ARGUMENTS_MAX), Vec::new);
        for (kept, given) in self.args.iter_mut().zip(args) {
            kept.clear();
            kept.extend_from_slice(&given[..given.len().min(ARGUMENT_BYTES_MAX)]);
        }
    }
}

/// Arguments of a function that FUNCTION STATS shows, and bytes of each.
const ARGUMENTS_MAX: usize = 32;
const ARGUMENT_BYTES_MAX: usize = 128;

impl Default for Running {
    fn default() -> Running {
        Running {
            late: AtomicU64::new(0),
            tag: AtomicU64::new(0),
            killed: AtomicU64::new(0),
            has_handed_over: AtomicBool::new(false),
            late_after_ms: AtomicU64::new(LATE_AFTER_MS_DEFAULT),
            time_max_ms: AtomicU64::new(TIME_MAX_MS_DEFAULT),
            function: Mutex::new(Invoked {
                args: Vec::new(),
                started: Instant::now(),
            }),
        }
    }
}

impl Running {
    /// The kind of the script that is late, if one is: one look at a word.
    #[inline]
    pub(crate) fn late(&self) -> Option<Kind> {
        match self.late.load(Ordering::Relaxed) {
            0 => None,
            tag => Some(Tag(tag).kind()),
        }
    }

    /// Notes that a script begins; it has ended when the guard goes. Only one runs at a time: it holds the replica.
    pub(crate) fn begin(&self, kind: Kind, args: &[&[u8]]) -> Ran<'_> {
        let tag = Tag(self.tag.load(Ordering::Relaxed)).next(kind);
        self.tag.store(tag.0, Ordering::Relaxed);
        self.has_handed_over.store(false, Ordering::Relaxed);
        if kind == Kind::Function {
            self.function().note(args);
        }
        Ran { running: self, tag }
    }

    /// The function that is late.
    pub(crate) fn late_function(&self) -> Option<Invoked> {
        (self.late() == Some(Kind::Function)).then(|| self.function().clone())
    }

    /// Ends the script that is late.
    ///
    /// # Errors
    /// In Redis's words: there is none, or it is of the other kind.
    pub(crate) fn kill(&self, kind: Kind) -> Result<(), Failure> {
        let tag = Tag(self.late.load(Ordering::Relaxed));
        if tag.0 == 0 {
            return Err(Failure::other("NOTBUSY No scripts in execution right now."));
        }
        if tag.kind() != kind {
            return Err(tag.kind().refusal());
        }
        self.killed.store(tag.0, Ordering::Relaxed);
        Ok(())
    }

    /// Ends whatever script runs from now on: the server stops.
    pub(crate) fn stop(&self) {
        self.killed.store(EVERY, Ordering::Relaxed);
    }

    /// Takes over `lua-time-limit`; with zero or less nobody is told BUSY.
    pub(crate) fn set_late_after_ms(&self, ms: i64) {
        let ms = u64::try_from(ms).unwrap_or(0);
        self.late_after_ms.store(ms, Ordering::Relaxed);
    }

    /// Takes over `script-time-max`.
    pub(crate) fn set_time_max_ms(&self, ms: u64) {
        self.time_max_ms
            .store(ms.clamp(1, TIME_MAX_MS_MAX), Ordering::Relaxed);
    }

    pub(crate) fn time_max_ms(&self) -> u64 {
        self.time_max_ms.load(Ordering::Relaxed)
    }

    fn late_after(&self) -> Option<Duration> {
        match self.late_after_ms.load(Ordering::Relaxed) {
            0 => None,
            ms => Some(Duration::from_millis(ms)),
        }
    }

    fn function(&self) -> MutexGuard<'_, Invoked> {
        self.function.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Overseer for Running {
    fn first(&self) -> Duration {
        let late = self.late_after().unwrap_or(Duration::MAX);
        let limit = Duration::from_millis(self.time_max_ms());
        HAND_OVER_AFTER.min(late).min(limit)
    }

    fn ask(&self, ran: Duration) -> Verdict {
        let tag = self.tag.load(Ordering::Relaxed);
        let killed = self.killed.load(Ordering::Relaxed);
        let is_over = ran >= Duration::from_millis(self.time_max_ms());
        if is_over || killed == tag || killed == EVERY {
            return Verdict::End;
        }
        if !self.has_handed_over.swap(true, Ordering::Relaxed) {
            hand_over();
        }
        if self.late_after().is_some_and(|late| ran >= late) {
            self.late.store(tag, Ordering::Relaxed);
        }
        Verdict::Continue(ran + LOOK_EVERY)
    }
}

/// A script that runs.
pub(crate) struct Ran<'r> {
    running: &'r Running,
    tag: Tag,
}

impl Ran<'_> {
    /// Why its time is over.
    pub(crate) fn reason(&self) -> String {
        let killed = self.running.killed.load(Ordering::Relaxed);
        match self.tag.kind() {
            _ if killed == EVERY => "the script was ended, because the server stops".to_owned(),
            Kind::Script if killed == self.tag.0 => {
                "Script killed by user with SCRIPT KILL".to_owned()
            }
            Kind::Function if killed == self.tag.0 => {
                "Script killed by user with FUNCTION KILL".to_owned()
            }
            _ => {
                let limit_ms = self.running.time_max_ms();
                format!("the script ran longer than script-time-max ({limit_ms} ms) and was ended")
            }
        }
    }
}

impl Drop for Ran<'_> {
    fn drop(&mut self) {
        self.running.late.store(0, Ordering::Relaxed);
    }
}

/// Has another thread serve what this worker of the runtime serves, for as long as the task that runs here goes on.
///
/// The runtime takes a worker back that nobody has taken over when a blocking section ends; so this waits until some worker
/// runs a task. Where there is one worker that is the one given away; where there are more, others are seen to be awake.
fn hand_over() {
    let Ok(runtime) = Handle::try_current() else {
        return;
    };
    if runtime.runtime_flavor() != RuntimeFlavor::MultiThread {
        return;
    }
    tokio::task::block_in_place(|| {
        let (sender, taken) = std::sync::mpsc::channel();
        runtime.spawn(async move {
            let _ = sender.send(());
        });
        // In vain where every worker is kept busy: then the script goes on as it would without.
        let _ = taken.recv_timeout(HAND_OVER_MAX);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_script_becomes_late_and_then_over() {
        let running = Running::default();
        running.set_late_after_ms(50);
        running.set_time_max_ms(100);
        let ran = running.begin(Kind::Script, &[]);
        assert_eq!(running.first(), HAND_OVER_AFTER);
        assert_eq!(running.ask(ms(49)), Verdict::Continue(ms(49) + LOOK_EVERY));
        assert_eq!(running.late(), None);
        assert_eq!(running.ask(ms(50)), Verdict::Continue(ms(50) + LOOK_EVERY));
        assert_eq!(running.late(), Some(Kind::Script));
        assert_eq!(running.ask(ms(100)), Verdict::End);
        assert!(ran.reason().contains("script-time-max (100 ms)"));
        drop(ran);
        assert_eq!(running.late(), None);
    }

    #[test]
    fn nobody_is_late_without_a_limit() {
        for never in [0, -1] {
            let running = Running::default();
            running.set_late_after_ms(never);
            let _ran = running.begin(Kind::Function, &[]);
            running.ask(ms(29_999));
            assert_eq!(running.late(), None);
            assert_eq!(running.ask(ms(30_000)), Verdict::End);
        }
    }

    // A client may ask for the end of a script that ends by itself at that moment: the next one must not die for it.
    #[test]
    fn only_the_script_that_was_meant_is_killed() {
        let running = Running::default();
        running.set_late_after_ms(1);
        let refusal = |kind| running.kill(kind).map_err(|failure| failure.to_string());
        let not_busy = Err("NOTBUSY No scripts in execution right now.".to_owned());
        assert_eq!(refusal(Kind::Script), not_busy);
        let first = running.begin(Kind::Function, &[b"fcall", b"f", b"0"]);
        assert_eq!(refusal(Kind::Function), not_busy);
        running.ask(ms(1));
        assert_eq!(
            refusal(Kind::Script),
            Err(Kind::Function.refusal().to_string())
        );
        let shown = running.late_function().expect("a function is late");
        assert_eq!(shown.args, [&b"fcall"[..], b"f", b"0"]);
        assert_eq!(refusal(Kind::Function), Ok(()));
        assert!(first.reason().contains("FUNCTION KILL"));
        drop(first);
        let second = running.begin(Kind::Function, &[]);
        assert_eq!(running.ask(ms(1)), Verdict::Continue(ms(1) + LOOK_EVERY));
        running.stop();
        assert_eq!(running.ask(ms(2)), Verdict::End);
        assert!(second.reason().contains("the server stops"));
    }
}
