//! Writers that hand their entries to the log's thread, as a node's connections do: one sync is in flight while the next frame
//! fills, and there is no timer.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use isles_store::RecordKind;

use crate::disk::Logged;
use crate::{ENTRY_BYTES, Result, Settings, bytes, report};

/// What fills while a sync is in flight.
#[derive(Default)]
struct Open {
    body: Vec<u8>,
    entries: u64,
}

#[derive(Default)]
struct Shared {
    open: Mutex<Open>,
    /// Entries that are on the disk.
    durable: AtomicU64,
    is_over: AtomicBool,
}

impl Shared {
    fn open(&self) -> std::sync::MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One thread runs all the writers, as a runtime's worker runs connections; the caller is the log's thread.
pub(crate) fn measure(log: &mut Logged, writers: usize, settings: &Settings) -> Result<()> {
    let shared = Shared::default();
    let log_thread = thread::current();
    thread::scope(|scope| {
        let worker = scope.spawn(|| write(&shared, &log_thread, writers, settings.run));
        let syncs = commit(log, &shared, worker.thread());
        // Else the writers would wait for ever.
        shared.is_over.store(true, Ordering::Release);
        worker.thread().unpark();
        let (mut times, took) = worker.join().map_err(|_| "the writers have panicked")?;
        let (entries, syncs) = (times.len() as f64, syncs?);
        let rate = entries / took.as_secs_f64();
        report(
            "group",
            "log's thread",
            writers,
            rate,
            entries / syncs as f64,
            &mut times,
        );
        Ok(())
    })
}

/// Takes what has arrived, writes and syncs it, tells the writers; how often.
fn commit(log: &mut Logged, shared: &Shared, worker: &Thread) -> Result<usize> {
    let mut syncs = 0;
    loop {
        let open = std::mem::take(&mut *shared.open());
        if open.entries == 0 {
            if shared.is_over.load(Ordering::Acquire) {
                return Ok(syncs);
            }
            thread::park();
            continue;
        }
        if log.log.starts_segment(open.body.len()) {
            log.trim()?;
        }
        log.log.append(RecordKind::Frame, &open.body);
        log.log.write()?;
        log.log.sync()?;
        syncs += 1;
        shared.durable.fetch_add(open.entries, Ordering::Release);
        worker.unpark();
    }
}

/// Each writer begins its next entry when it hears that the last one is on the disk. Answers how long each entry took.
fn write(
    shared: &Shared,
    log: &Thread,
    writers: usize,
    run: Duration,
) -> (Vec<Duration>, Duration) {
    let entry = bytes(ENTRY_BYTES);
    let begin = Instant::now();
    // In the order in which they were handed over: entries become durable in that order.
    let mut begun = std::collections::VecDeque::with_capacity(writers);
    let (mut times, mut durable) = (Vec::new(), 0);
    let mut idle = writers;
    loop {
        if begin.elapsed() < run {
            for _ in 0..std::mem::take(&mut idle) {
                begun.push_back(Instant::now());
                let mut open = shared.open();
                open.body.extend_from_slice(&entry);
                open.entries += 1;
            }
            log.unpark();
        } else if begun.is_empty() {
            shared.is_over.store(true, Ordering::Release);
            log.unpark();
            return (times, begin.elapsed());
        }
        while shared.durable.load(Ordering::Acquire) == durable {
            if shared.is_over.load(Ordering::Acquire) {
                return (times, begin.elapsed());
            }
            thread::park();
        }
        let now = Instant::now();
        while durable < shared.durable.load(Ordering::Acquire) {
            durable += 1;
            idle += 1;
            times.extend(begun.pop_front().map(|begun: Instant| now - begun));
        }
    }
}
