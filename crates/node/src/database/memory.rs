//! Data larger than memory: who reads rows that are not there, and when they leave.
//!
//! What clients miss they read themselves, on a thread that may block (`isles_resp::RowSource`). For everybody else there is the loader's thread: for
//! frames of peers and for clients that wait, for keys whose deadline passes, and, after a start, for all that there is room for. The
//! checkpoint's thread lets rows leave, since it knows which the table has.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use isles_replica::image::{ROWS, ScanTable, due_range, key_of_due, key_of_row};
use isles_replica::{Eviction, Loaded, Missing, Wanting};
use isles_resp::{Kept, RowSource};
use isles_store::{Table, TableError};
use metrics::{Counter, counter};

use super::{Database, StopOnPanic, scan_prefix};
use crate::memory::allocated_bytes;

/// Rows that leave or come in under one hold of the lock: some tens of microseconds.
const ROWS_PER_HOLD: usize = 32;
/// Rows that are read before they are taken in.
const ROWS_PER_READ: usize = 512;
/// Keys whose deadline has passed that are brought in at a time.
const DUE_MAX: usize = 1024;
/// How often it is looked for deadlines, and for work that nobody has rung for.
const LOOK: Duration = Duration::from_millis(500);
/// A row leaves if it was not used for so long, unless there are too few.
const IDLE_MS: u64 = 2_000;

/// How much there is room for.
pub(super) struct Memory {
    max: Option<u64>,
    table: Arc<dyn Table>,
    /// Those who want all rows to stay for now.
    kept: Arc<AtomicUsize>,
    loader: OnceLock<std::thread::Thread>,
    /// Writers wait until something has left.
    is_full: AtomicBool,
    evicted: Counter,
}

/// How it went to make room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relief {
    /// There is room.
    Enough,
    /// Only what the table lacks could leave.
    NeedsCheckpoint,
    /// Nothing can leave.
    Stuck,
}

impl Memory {
    pub(super) fn new(max: Option<u64>, table: Arc<dyn Table>) -> Memory {
        Memory {
            max,
            table,
            kept: Arc::default(),
            loader: OnceLock::new(),
            is_full: AtomicBool::new(false),
            evicted: counter!("isles_rows_evicted_total"),
        }
    }

    pub(super) fn is_bounded(&self) -> bool {
        self.max.is_some()
    }

    /// Whether writers may go on.
    pub(super) fn has_room(&self) -> bool {
        !self.is_full.load(Ordering::Relaxed)
    }

    pub(super) fn rows(&self) -> Arc<dyn RowSource> {
        Arc::new(Rows {
            table: Arc::clone(&self.table),
            kept: Arc::clone(&self.kept),
            loaded: loaded_counter("client"),
        })
    }

    pub(super) fn ring(&self) {
        if let Some(thread) = self.loader.get() {
            thread.unpark();
        }
    }

    /// Whether a part of what is allowed is in use, in 64ths.
    fn is_above(&self, part: u64) -> bool {
        self.max
            .is_some_and(|max| allocated_bytes() > max / 64 * part)
    }

    /// Lets rows leave until there is some room; to be called when no image is on its way to the table.
    pub(super) fn relieve(&self, database: &Database, seed: &mut u64) -> Relief {
        if !self.is_above(64) {
            self.note_room(database, true);
            return Relief::Enough;
        }
        let mut idle_ms = IDLE_MS;
        while self.is_above(63) {
            if self.kept.load(Ordering::Acquire) > 0 || database.stopped.get().is_some() {
                // Whoever keeps them may be a writer.
                self.note_room(database, true);
                return Relief::Enough;
            }
            *seed += 1;
            let which = Eviction {
                rows: ROWS_PER_HOLD,
                idle_ms,
                seed: *seed,
            };
            let (evicted, dirty) = database.hold(|replica, wall_ms| {
                let evicted = replica.evict(which, wall_ms);
                (evicted.unwrap_or_default(), replica.dirty_rows())
            });
            self.evicted.increment(evicted.rows as u64);
            if evicted.rows + evicted.absent > 0 {
                continue;
            }
            if idle_ms > 0 && self.is_above(66) {
                idle_ms = 0;
                continue;
            }
            // Twice as much as is kept back for others may come in while rows are written.
            self.note_room(database, dirty == 0 || !self.is_above(72));
            return match dirty {
                0 => Relief::Stuck,
                _ => Relief::NeedsCheckpoint,
            };
        }
        self.note_room(database, true);
        Relief::Enough
    }

    fn note_room(&self, database: &Database, has_room: bool) {
        if self.is_full.swap(!has_room, Ordering::Relaxed) && has_room {
            database.progress.send_modify(|_| {});
        }
    }
}

fn loaded_counter(why: &'static str) -> Counter {
    counter!("isles_rows_loaded_total", "for" => why)
}

/// The table as clients read it.
struct Rows {
    table: Arc<dyn Table>,
    kept: Arc<AtomicUsize>,
    loaded: Counter,
}

impl RowSource for Rows {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, String> {
        self.loaded.increment(1);
        self.table.get(key).map_err(|error| error.to_string())
    }

    fn scan(&self, prefix: &[u8], each: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), String> {
        scan_prefix(&*self.table, prefix, each).map_err(|error| error.to_string())
    }

    fn keep(&self) -> Kept {
        Kept::new(&self.kept)
    }
}

/// Brings in what nobody else reads.
struct Loader {
    database: Arc<Database>,
    /// From which row on there may be some for which there is room, until all have been looked at.
    warm_from: Option<Vec<u8>>,
    looked: Instant,
    peer: Counter,
    due: Counter,
    warm: Counter,
}

pub(super) fn spawn(database: &Arc<Database>) -> JoinHandle<()> {
    let mut loader = Loader {
        database: Arc::clone(database),
        warm_from: Some(ROWS.to_vec()),
        looked: Instant::now(),
        peer: loaded_counter("peer"),
        due: loaded_counter("deadline"),
        warm: loaded_counter("start"),
    };
    let thread = std::thread::Builder::new()
        .name("isles-loader".to_owned())
        .spawn(move || {
            let _stop = StopOnPanic("reading rows");
            loader.run();
        })
        .expect("the machine has room for the loader's thread");
    let _ = database.memory.loader.set(thread.thread().clone());
    thread
}

impl Loader {
    fn run(&mut self) {
        let is_ending = |database: &Database| {
            database.stopping.load(Ordering::Acquire) || database.stopped.get().is_some()
        };
        while !is_ending(&self.database) {
            match self.step() {
                Ok(true) => {}
                Ok(false) => std::thread::park_timeout(LOOK),
                Err(error) => self.database.fail(format!(
                    "rows cannot be read from the table: {error}; if it is damaged, isles table rebuild makes it anew"
                )),
            }
        }
    }

    /// Does what comes first; whether there may be more to do.
    fn step(&mut self) -> Result<bool, String> {
        if self.serve_wanted()? {
            return Ok(true);
        }
        if self.looked.elapsed() >= LOOK {
            self.looked = Instant::now();
            if self.admit_due()? {
                return Ok(true);
            }
        }
        self.warm_up()
    }

    /// What frames wait for, and clients that sleep.
    fn serve_wanted(&mut self) -> Result<bool, String> {
        let (mut missing, wanting) = self.database.hold(|replica, _| {
            let wanting = replica.take_wanting();
            (replica.awaited().to_vec(), wanting)
        });
        if missing.is_empty() && wanting.is_empty() {
            return Ok(false);
        }
        let mut keys = Vec::new();
        for Wanting {
            key,
            missing: wanted,
        } in wanting
        {
            missing.extend(wanted);
            keys.push(key);
        }
        self.peer.increment(missing.len() as u64);
        let loaded = self.read(missing, &HashMap::new())?;
        self.admit(loaded)?;
        self.database.hold(|replica, _| {
            keys.into_iter()
                .for_each(|key| replica.note_changed_again(key));
        });
        self.database.apply_ready();
        Ok(true)
    }

    /// Keys whose deadline has passed while only the table has them: they are to be counted and told of.
    fn admit_due(&mut self) -> Result<bool, String> {
        let latest = self.database.hold(|replica, wall_ms| {
            (replica.cold_keys() > 0).then(|| replica.latest().wall_ms().max(wall_ms))
        });
        let Some(now_ms) = latest else {
            return Ok(false);
        };
        let (from, to) = due_range(now_ms);
        let mut keys = Vec::new();
        let table = &self.database.memory.table;
        let scanned = table.scan(&from, Some(&to), &mut |key, _| {
            keys.extend(key_of_due(key).map(<[u8]>::to_vec));
            match keys.len() < DUE_MAX {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        });
        scanned.map_err(|error| error.to_string())?;
        let missing = self.missing(&keys);
        if missing.is_empty() {
            return Ok(false);
        }
        self.due.increment(missing.len() as u64);
        let loaded = self.read(missing, &HashMap::new())?;
        self.admit(loaded)?;
        self.database
            .hold(|replica, wall_ms| replica.find_expired(wall_ms, DUE_MAX));
        Ok(true)
    }

    /// After a start all rows come in that there is room for, in order, while clients take those that they want.
    fn warm_up(&mut self) -> Result<bool, String> {
        let memory = &self.database.memory;
        let Some(from) = self.warm_from.take() else {
            return Ok(false);
        };
        let is_any = self.database.hold(|replica, _| replica.cold_rows() > 0);
        if !is_any || memory.is_above(48) {
            return Ok(false);
        }
        let (mut keys, mut rows) = (Vec::new(), HashMap::new());
        self.scan_rows(&from, &mut |key, _| keys.push(key.to_vec()))
            .map_err(|error| error.to_string())?;
        let Some(last) = keys.last() else {
            return Ok(false);
        };
        self.warm_from = Some([ROWS, last, &[0]].concat());
        // What is read before it is named may be old.
        let missing = self.missing(&keys);
        if missing.is_empty() {
            return Ok(true);
        }
        self.scan_rows(&from, &mut |key, value| {
            rows.insert([ROWS, key].concat(), value.to_vec());
        })
        .map_err(|error| error.to_string())?;
        self.warm.increment(missing.len() as u64);
        let loaded = self.read(missing, &rows)?;
        self.admit(loaded)?;
        Ok(true)
    }

    fn scan_rows(&self, from: &[u8], each: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), TableError> {
        let mut left = ROWS_PER_READ;
        let end = [ROWS[0] + 1];
        let table = &self.database.memory.table;
        table.scan(from, Some(&end), &mut |table_key, value| {
            if let Some(key) = key_of_row(table_key) {
                each(key, value);
            }
            left -= 1;
            match left {
                0 => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        })
    }

    fn missing(&self, keys: &[Vec<u8>]) -> Vec<Missing> {
        let keys = keys.iter().map(Vec::as_slice);
        self.database.hold(|replica, _| replica.missing(keys))
    }

    /// Reads rows, those that were read already from there.
    fn read(
        &self,
        missing: Vec<Missing>,
        known: &HashMap<Vec<u8>, Vec<u8>>,
    ) -> Result<Vec<Loaded>, String> {
        let table = &*self.database.memory.table;
        let mut failed = None;
        let get = &mut |key: &[u8]| match known.get(key) {
            Some(value) => Ok(Some(value.clone())),
            None => table.get(key).map_err(|error| error.to_string()),
        };
        let scan: &mut ScanTable<'_> = &mut |prefix, each| {
            let scanned = scan_prefix(table, prefix, each);
            failed = failed.take().or(scanned.err());
        };
        let loaded = missing.into_iter().map(|missing| missing.load(get, scan));
        let loaded = loaded.collect();
        match failed {
            Some(error) => Err(error.to_string()),
            None => Ok(loaded),
        }
    }

    /// Takes rows in; a stale one is read again by whoever still wants it.
    fn admit(&self, loaded: Vec<Loaded>) -> Result<(), String> {
        let mut loaded = loaded.into_iter().peekable();
        while loaded.peek().is_some() {
            let some = loaded.by_ref().take(ROWS_PER_HOLD);
            let admitted = self.database.hold(|replica, wall_ms| {
                some.map(|loaded| replica.admit(loaded, wall_ms))
                    .find_map(Result::err)
            });
            if let Some(error) = admitted {
                return Err(error.to_string());
            }
        }
        Ok(())
    }
}
