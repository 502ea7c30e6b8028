//! LATENCY: when something took longer than it should, by kind of event.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Samples of one event.
const SAMPLES_MAX: usize = 160;
/// The width of a graph, in samples.
const GRAPH_COLUMNS: usize = 80;
/// The height of a graph, in lines.
const GRAPH_ROWS: usize = 4;

/// The worst of one second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) at_s: u64,
    pub(crate) took_ms: u64,
}

/// What is known of one kind of event.
#[derive(Clone, Debug, Default)]
pub(crate) struct Series {
    pub(crate) samples: VecDeque<Sample>,
    pub(crate) worst_ms: u64,
}

/// All events above the threshold.
#[derive(Debug, Default)]
pub(crate) struct Latency {
    /// Zero while nothing is watched, as by default.
    threshold_ms: AtomicU64,
    events: Mutex<BTreeMap<&'static str, Series>>,
}

impl Latency {
    pub(crate) fn threshold_ms(&self) -> u64 {
        self.threshold_ms.load(Ordering::Relaxed)
    }

    pub(crate) fn set_threshold_ms(&self, ms: u64) {
        self.threshold_ms.store(ms, Ordering::Relaxed);
    }

    /// Keeps an event if it took long enough.
    pub(crate) fn note(&self, event: &'static str, at_s: u64, took_ms: u64) {
        let threshold = self.threshold_ms();
        if threshold == 0 || took_ms < threshold {
            return;
        }
        let mut events = self.lock();
        let series = events.entry(event).or_default();
        series.worst_ms = series.worst_ms.max(took_ms);
        match series.samples.back_mut() {
            Some(last) if last.at_s == at_s => last.took_ms = last.took_ms.max(took_ms),
            _ => {
                if series.samples.len() == SAMPLES_MAX {
                    series.samples.pop_front();
                }
                series.samples.push_back(Sample { at_s, took_ms });
            }
        }
    }

    pub(crate) fn all(&self) -> Vec<(&'static str, Series)> {
        let events = self.lock();
        events
            .iter()
            .map(|(event, series)| (*event, series.clone()))
            .collect()
    }

    pub(crate) fn of(&self, event: &[u8]) -> Option<(&'static str, Series)> {
        self.all()
            .into_iter()
            .find(|(known, _)| known.as_bytes() == event)
    }

    /// Forgets these events, or all if none is named; how many that were.
    pub(crate) fn reset(&self, names: &[&[u8]]) -> usize {
        let mut events = self.lock();
        let before = events.len();
        events.retain(|event, _| !names.is_empty() && !names.contains(&event.as_bytes()));
        before - events.len()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Series>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What LATENCY GRAPH draws.
pub(crate) fn graph(event: &str, series: &Series, now_s: u64) -> String {
    let took = || series.samples.iter().map(|sample| sample.took_ms);
    let (high, low) = (took().max().unwrap_or(0), took().min().unwrap_or(0));
    let mut text = format!(
        "{event} - high {high} ms, low {low} ms (all time high {} ms)\n{}\n",
        series.worst_ms,
        "-".repeat(GRAPH_COLUMNS)
    );
    let skipped = series.samples.len().saturating_sub(GRAPH_COLUMNS);
    let shown: Vec<&Sample> = series.samples.iter().skip(skipped).collect();
    let height = |sample: &Sample| {
        let range = (high - low).max(1);
        1 + (sample.took_ms - low) * (GRAPH_ROWS as u64 - 1) / range
    };
    for row in (1..=GRAPH_ROWS as u64).rev() {
        let cell = |sample: &&Sample| match height(sample).cmp(&row) {
            std::cmp::Ordering::Greater => '|',
            std::cmp::Ordering::Equal => '#',
            std::cmp::Ordering::Less => ' ',
        };
        let line: String = shown.iter().map(cell).collect();
        writeln!(text, "{}", line.trim_end()).expect("writing to a string cannot fail");
    }
    if let (Some(first), Some(last)) = (shown.first(), shown.last()) {
        let ago = |sample: &Sample| age(now_s.saturating_sub(sample.at_s));
        writeln!(text, "from {} to {} ago", ago(first), ago(last))
            .expect("writing to a string cannot fail");
    }
    text
}

fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// What LATENCY DOCTOR says.
pub(crate) fn report(events: &[(&'static str, Series)], threshold_ms: u64) -> String {
    if threshold_ms == 0 {
        return "Latency monitoring is off. CONFIG SET latency-monitor-threshold <milliseconds> turns it on.\n"
            .to_owned();
    }
    if events.is_empty() {
        return format!("Nothing took {threshold_ms} ms or longer.\n");
    }
    let mut text = format!("These took {threshold_ms} ms or longer:\n");
    for (event, series) in events {
        let count = series.samples.len() as u64;
        let sum: u64 = series.samples.iter().map(|sample| sample.took_ms).sum();
        writeln!(
            text,
            "{event}: {count} seconds with such an event, {} ms on average, {} ms at worst",
            sum / count.max(1),
            series.worst_ms
        )
        .expect("writing to a string cannot fail");
    }
    text.push_str(
        "SLOWLOG GET names the commands; `isles_log_sync_seconds` tells how long the disk takes.\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_worst_of_a_second_is_kept_and_only_above_the_threshold() {
        let latency = Latency::default();
        latency.note("command", 1, 500);
        assert!(latency.all().is_empty());
        latency.set_threshold_ms(100);
        for (at_s, took_ms) in [(1, 99), (1, 150), (1, 120), (2, 300)] {
            latency.note("command", at_s, took_ms);
        }
        let (_, series) = latency.of(b"command").expect("it was noted");
        let sample = |at_s, took_ms| Sample { at_s, took_ms };
        assert_eq!(series.samples, [sample(1, 150), sample(2, 300)]);
        assert_eq!(series.worst_ms, 300);
        assert!(graph("command", &series, 10).ends_with("\n #\n |\n |\n#|\nfrom 9s to 8s ago\n"));
        assert_eq!(latency.reset(&[b"other"]), 0);
        assert_eq!(latency.reset(&[]), 1);
    }

    #[test]
    fn samples_are_bounded() {
        let latency = Latency::default();
        latency.set_threshold_ms(1);
        (0..1000).for_each(|second| latency.note("command", second, 1));
        let (_, series) = latency.of(b"command").expect("it was noted");
        assert_eq!(series.samples.len(), SAMPLES_MAX);
    }
}
