//! What is counted per command and subcommand, for INFO COMMANDSTATS and LATENCY HISTOGRAM.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::call::is;
use crate::table::{self, CommandId};

/// Buckets of a histogram: the first is up to a microsecond, each further one twice as wide.
const BUCKETS: usize = 24;

/// Counts of one command or subcommand. They are written under the replica's lock, so that adding needs no atomic operation;
/// what runs beside a script that is late may lose one. Reading them does not matter to anybody to the last one.
#[derive(Debug, Default)]
pub(crate) struct Stat {
    calls: AtomicU64,
    rejected: AtomicU64,
    failed: AtomicU64,
    timed: AtomicU64,
    timed_us: AtomicU64,
    histogram: [AtomicU32; BUCKETS],
}

/// What INFO shows of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) calls: u64,
    pub(crate) rejected: u64,
    pub(crate) failed: u64,
    /// Of those calls that were timed.
    pub(crate) us_per_call: u64,
}

/// The counts of all commands.
#[derive(Debug)]
pub(crate) struct Stats {
    /// By the command's number, where its counts begin: its own, then those of its subcommands.
    starts: Box<[u32]>,
    stats: Box<[Stat]>,
}

impl Stats {
    pub(crate) fn new() -> Stats {
        let mut starts = Vec::new();
        let mut end = 0;
        for spec in table::all() {
            starts.push(end);
            end += 1 + spec.subcommands.len() as u32;
        }
        Stats {
            starts: starts.into(),
            stats: (0..end).map(|_| Stat::default()).collect(),
        }
    }

    /// Counts a call that runs.
    #[inline]
    pub(crate) fn count(&self, command: CommandId, args: &[&[u8]]) {
        add(&self.of(command, args).calls, 1);
    }

    #[cold]
    pub(crate) fn count_rejected(&self, command: CommandId, args: &[&[u8]]) {
        add(&self.of(command, args).rejected, 1);
    }

    #[cold]
    pub(crate) fn count_failed(&self, command: CommandId, args: &[&[u8]]) {
        add(&self.of(command, args).failed, 1);
    }

    /// Notes the time of a call that was timed.
    pub(crate) fn time(&self, command: CommandId, args: &[&[u8]], took_us: u64) {
        let stat = self.of(command, args);
        add(&stat.timed, 1);
        add(&stat.timed_us, took_us);
        let bucket = (u64::BITS - took_us.saturating_sub(1).leading_zeros()) as usize;
        let count = &stat.histogram[bucket.min(BUCKETS - 1)];
        let sum = count.load(Ordering::Relaxed).saturating_add(1);
        count.store(sum, Ordering::Relaxed);
    }

    pub(crate) fn reset(&self) {
        for stat in &self.stats {
            let totals = [
                &stat.calls,
                &stat.rejected,
                &stat.failed,
                &stat.timed,
                &stat.timed_us,
            ];
            totals
                .iter()
                .for_each(|total| total.store(0, Ordering::Relaxed));
            stat.histogram
                .iter()
                .for_each(|count| count.store(0, Ordering::Relaxed));
        }
    }

    /// Every command and subcommand that was called or rejected, by its full name.
    pub(crate) fn used(&self) -> Vec<(String, &Stat)> {
        let mut used = Vec::new();
        for (spec, start) in table::all().iter().zip(&self.starts) {
            let start = *start as usize;
            let names = std::iter::once(spec.name.to_owned()).chain(
                spec.subcommands
                    .iter()
                    .map(|(name, _)| format!("{}|{name}", spec.name)),
            );
            used.extend(
                names
                    .zip(&self.stats[start..])
                    .filter(|(_, stat)| stat.is_used()),
            );
        }
        used
    }

    #[inline]
    fn of(&self, command: CommandId, args: &[&[u8]]) -> &Stat {
        let start = self.starts[usize::from(command.as_u16())] as usize;
        let subcommands = command.spec().subcommands;
        if subcommands.is_empty() {
            return &self.stats[start];
        }
        let named = |(name, _): &(&str, i32)| args.get(1).is_some_and(|given| is(given, name));
        let offset = subcommands.iter().position(named).map_or(0, |at| at + 1);
        &self.stats[start + offset]
    }
}

impl Stat {
    fn is_used(&self) -> bool {
        self.calls() > 0 || self.rejected.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    pub(crate) fn totals(&self) -> Totals {
        let load = |total: &AtomicU64| total.load(Ordering::Relaxed);
        Totals {
            calls: load(&self.calls),
            rejected: load(&self.rejected),
            failed: load(&self.failed),
            us_per_call: load(&self.timed_us) / load(&self.timed).max(1),
        }
    }

    /// Upper bounds in microseconds, each with how many timed calls took so long at most; only where that grows.
    pub(crate) fn histogram(&self) -> Vec<(u64, u64)> {
        let mut below = 0;
        let mut shown = Vec::new();
        for (bucket, count) in self.histogram.iter().enumerate() {
            let count = u64::from(count.load(Ordering::Relaxed));
            below += count;
            if count > 0 {
                shown.push((1 << bucket, below));
            }
        }
        shown
    }
}

fn add(total: &AtomicU64, amount: u64) {
    let sum = total.load(Ordering::Relaxed).saturating_add(amount);
    total.store(sum, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_fall_into_buckets_that_double() {
        let stats = Stats::new();
        let get = table::find(b"get").expect("there is GET");
        for took_us in [0, 1, 2, 3, 4, 5, u64::MAX] {
            stats.time(get, &[b"get", b"a"], took_us);
        }
        let histogram = stats.of(get, &[]).histogram();
        assert_eq!(histogram, [(1, 2), (2, 3), (4, 5), (8, 6), (1 << 23, 7)]);
    }
}
