//! SLOWLOG: commands that took long, with what they were asked.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::monitor::secret_from;

/// Microseconds from which on a command is slow, unless `slowlog-log-slower-than` says otherwise.
pub(crate) const SLOWER_THAN_US_DEFAULT: i64 = 10_000;
/// Entries that are kept, unless `slowlog-max-len` says otherwise.
pub(crate) const LEN_DEFAULT: usize = 128;
/// Entries that are kept, whatever it says.
const LEN_MAX: usize = 100_000;
/// Arguments of an entry, and bytes of each.
const ARGUMENTS_MAX: usize = 32;
const ARGUMENT_BYTES_MAX: usize = 128;

/// One slow command.
#[derive(Clone, Debug)]
pub(crate) struct SlowCommand {
    pub(crate) id: u64,
    pub(crate) at_s: u64,
    pub(crate) took_us: u64,
    pub(crate) args: Vec<Vec<u8>>,
    pub(crate) address: String,
    pub(crate) name: Vec<u8>,
}

/// The slow commands, newest first.
#[derive(Debug)]
pub(crate) struct SlowLog {
    slower_than_us: AtomicI64,
    len_max: AtomicUsize,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    next_id: u64,
    newest_first: VecDeque<SlowCommand>,
}

impl Default for SlowLog {
    fn default() -> Self {
        SlowLog {
            slower_than_us: AtomicI64::new(SLOWER_THAN_US_DEFAULT),
            len_max: AtomicUsize::new(LEN_DEFAULT),
            entries: Mutex::default(),
        }
    }
}

impl SlowLog {
    /// Microseconds from which on a command is slow; negative if none is.
    pub(crate) fn slower_than_us(&self) -> i64 {
        self.slower_than_us.load(Ordering::Relaxed)
    }

    pub(crate) fn set_slower_than_us(&self, us: i64) {
        self.slower_than_us.store(us, Ordering::Relaxed);
    }

    pub(crate) fn set_len_max(&self, len: usize) {
        self.len_max.store(len.min(LEN_MAX), Ordering::Relaxed);
    }

    pub(crate) fn is_slow(&self, took_us: u64) -> bool {
        u64::try_from(self.slower_than_us()).is_ok_and(|limit| took_us >= limit)
    }

    /// Keeps a slow command; its number is given here.
    pub(crate) fn push(&self, command: SlowCommand) {
        let len_max = self.len_max.load(Ordering::Relaxed);
        let mut entries = self.lock();
        let id = entries.next_id;
        entries.next_id += 1;
        entries
            .newest_first
            .push_front(SlowCommand { id, ..command });
        entries.newest_first.truncate(len_max);
    }

    pub(crate) fn newest(&self, count: usize) -> Vec<SlowCommand> {
        self.lock()
            .newest_first
            .iter()
            .take(count)
            .cloned()
            .collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().newest_first.len()
    }

    pub(crate) fn reset(&self) {
        self.lock().newest_first.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Arguments as they are kept: not too many, none too long, and no secrets.
pub(crate) fn trimmed(args: &[&[u8]]) -> Vec<Vec<u8>> {
    let secret = secret_from(args);
    let shown = match args.len() > ARGUMENTS_MAX {
        true => ARGUMENTS_MAX - 1,
        false => args.len(),
    };
    let mut kept: Vec<Vec<u8>> = args[..shown]
        .iter()
        .enumerate()
        .map(|(index, argument)| match index >= secret {
            true => b"(redacted)".to_vec(),
            false => shortened(argument),
        })
        .collect();
    if shown < args.len() {
        kept.push(format!("... ({} more arguments)", args.len() - shown).into_bytes());
    }
    kept
}

fn shortened(argument: &[u8]) -> Vec<u8> {
    if argument.len() <= ARGUMENT_BYTES_MAX {
        return argument.to_vec();
    }
    let more = argument.len() - ARGUMENT_BYTES_MAX;
    let tail = format!("... ({more} more bytes)");
    [&argument[..ARGUMENT_BYTES_MAX], tail.as_bytes()].concat()
}
