//! Durable entries per second: a frame is written and synced, then the next. Beside it the checkpointer's thread writes
//! images to the table, as the product's does.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use isles_store::object_store::memory::InMemory;
use isles_store::{
    FileStorage, FjallConfig, FjallTable, Log, LogConfig, RecordKind, RecordNumber, RedbConfig,
    RedbTable, SlateConfig, SlateTable, Table,
};

use crate::calls::{ADDED, slow};
use crate::engines::{FjallAlone, RedbAlone};
use crate::workload::{FRAME_BYTES, FRAME_ENTRIES, Random, for_each_batch, frame_keys, image};
use crate::{Result, Settings, fresh, in_turn, percentile_us, written_bytes};

/// The log that a checkpoint covers: far less than the product's, so that there are some in each run.
const CHECKPOINT_BYTES: u64 = 4 << 20;
const SEGMENT_BYTES: u64 = 16 << 20;
/// The raw file, which exists before it is measured, as segments do.
const RAW_BYTES: usize = 64 << 20;

/// Commits one frame at a time.
pub(crate) trait Commits {
    /// Makes the entries of a frame durable.
    fn commit(&mut self, keys: &[u32; FRAME_ENTRIES], frame: &[u8]) -> Result<()>;
}

/// Begins in an empty folder.
type Open = fn(&Path) -> Result<Box<dyn Commits>>;

const CANDIDATES: &[(&str, Open)] = &[
    ("raw disk", |folder| Ok(Box::new(Raw::new(folder)?))),
    ("log", |folder| Ok(Box::new(Logged::new(folder, None)?))),
    ("log and table on fjall", |folder| {
        let table = FjallTable::open(folder.join("table"), &FjallConfig::default())?;
        Ok(Box::new(Logged::new(folder, Some(Box::new(table)))?))
    }),
    ("log and table on redb", |folder| {
        let table = RedbTable::open(folder.join("table"), &RedbConfig::default())?;
        Ok(Box::new(Logged::new(folder, Some(Box::new(table)))?))
    }),
    ("log and table on a store, 50 ms added", |folder| {
        let store = Arc::new(slow(InMemory::new(), ADDED));
        let table = SlateTable::open(store, "table", &SlateConfig::default())?;
        Ok(Box::new(Logged::new(folder, Some(Box::new(table)))?))
    }),
    ("fjall alone", |folder| {
        Ok(Box::new(FjallAlone::open(folder)?))
    }),
    ("redb alone", |folder| {
        Ok(Box::new(RedbAlone::open(folder)?))
    }),
];

pub(crate) fn measure(settings: &Settings, round: usize) -> Result<()> {
    for (name, open) in in_turn(CANDIDATES, round) {
        let folder = fresh(settings, "frames")?;
        let mut candidate = open(&folder)?;
        let mut random = Random::new(round as u64);
        let (mut times, before, begin) = (Vec::new(), written_bytes(), Instant::now());
        while begin.elapsed() < settings.run {
            let keys = frame_keys(&mut random);
            let frame = frame(&keys, times.len() as u64);
            let start = Instant::now();
            candidate.commit(&keys, &frame)?;
            times.push(start.elapsed());
        }
        // Making the frames is the same for all, and not of the store.
        let busy: Duration = times.iter().sum();
        let entries = (times.len() * FRAME_ENTRIES) as f64;
        // What a checkpoint under way still writes belongs to these entries too.
        drop(candidate);
        let per_byte = (written_bytes() - before) / (times.len() * FRAME_BYTES) as f64;
        println!(
            "frames\t{name}\t{:.0}\t{:.1}\t{:.1}\t{per_byte:.2}",
            entries / busy.as_secs_f64(),
            percentile_us(&mut times, 0.5),
            percentile_us(&mut times, 0.99),
        );
    }
    Ok(())
}

fn frame(keys: &[u32; FRAME_ENTRIES], salt: u64) -> Vec<u8> {
    keys.iter().flat_map(|key| image(*key, salt)).collect()
}

/// One write and one sync for a frame: what the disk gives to anybody.
struct Raw {
    file: File,
    offset: usize,
}

impl Raw {
    fn new(folder: &Path) -> Result<Self> {
        let mut file = File::create(folder.join("raw"))?;
        // In small pieces: what is cached in large ones is written in large ones.
        for _ in 0..RAW_BYTES / 4096 {
            file.write_all(&[0; 4096])?;
        }
        file.sync_all()?;
        Ok(Raw { file, offset: 0 })
    }
}

impl Commits for Raw {
    fn commit(&mut self, _: &[u32; FRAME_ENTRIES], frame: &[u8]) -> Result<()> {
        self.file.write_all_at(frame, self.offset as u64)?;
        self.file.sync_data()?;
        self.offset = (self.offset + frame.len()) % (RAW_BYTES - frame.len());
        Ok(())
    }
}

/// The product's log, with a checkpointer beside it or none.
struct Logged {
    log: Log,
    since_checkpoint: u64,
    checkpointer: Option<Checkpointer>,
}

impl Logged {
    fn new(folder: &Path, table: Option<Box<dyn Table>>) -> Result<Self> {
        let storage = Arc::new(FileStorage::open(folder.join("log"))?);
        let config = LogConfig::new("bench").with_segment_bytes(SEGMENT_BYTES);
        let (log, _) = Log::open(storage, config)?;
        Ok(Logged {
            log,
            since_checkpoint: 0,
            checkpointer: table.map(Checkpointer::new),
        })
    }
}

impl Commits for Logged {
    fn commit(&mut self, keys: &[u32; FRAME_ENTRIES], frame: &[u8]) -> Result<()> {
        let number = self.log.append(RecordKind::Frame, frame);
        self.log.write()?;
        self.log.sync()?;
        self.since_checkpoint += frame.len() as u64;
        let is_due = self.since_checkpoint >= CHECKPOINT_BYTES;
        match &self.checkpointer {
            None if is_due => {
                self.since_checkpoint = 0;
                self.log.trim(number)?;
            }
            Some(checkpointer) => {
                checkpointer.mark(keys);
                if is_due && checkpointer.begin(number) {
                    self.since_checkpoint = 0;
                    self.log.trim(checkpointer.through())?;
                }
            }
            None => {}
        }
        Ok(())
    }
}

/// A thread that writes what has changed to the table when it is told to.
struct Checkpointer {
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    changed: Mutex<BTreeSet<u32>>,
    is_working: AtomicBool,
    is_over: AtomicBool,
    /// The record that the round under way, or the last one, covers the log before.
    next: AtomicU64,
    through: AtomicU64,
}

impl Checkpointer {
    fn new(table: Box<dyn Table>) -> Self {
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            while !of_thread.is_over.load(Ordering::Acquire) {
                std::thread::park();
                if of_thread.is_working.load(Ordering::Acquire) {
                    of_thread.round(&*table).expect("the table takes rows");
                    of_thread.is_working.store(false, Ordering::Release);
                }
            }
        });
        Checkpointer {
            shared,
            thread: Some(thread),
        }
    }

    fn mark(&self, keys: &[u32]) {
        let mut changed = self.shared.changed();
        changed.extend(keys);
    }

    /// Begins a round that covers the log before a record; no if one is under way.
    fn begin(&self, record: RecordNumber) -> bool {
        if self.shared.is_working.load(Ordering::Acquire) {
            return false;
        }
        self.shared.next.store(record.0, Ordering::Relaxed);
        self.shared.is_working.store(true, Ordering::Release);
        self.thread
            .iter()
            .for_each(|thread| thread.thread().unpark());
        true
    }

    /// The log before this record may go.
    fn through(&self) -> RecordNumber {
        RecordNumber(self.shared.through.load(Ordering::Relaxed))
    }
}

impl Shared {
    fn changed(&self) -> std::sync::MutexGuard<'_, BTreeSet<u32>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn round(&self, table: &dyn Table) -> Result<()> {
        let through = self.next.load(Ordering::Relaxed);
        let rows = std::mem::take(&mut *self.changed());
        for_each_batch(rows, through, |batch| table.write(batch))?;
        table.persist()?;
        table.flush()?;
        self.through.store(through, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A failure of its has been printed.
            let _ = thread.join();
        }
    }
}
