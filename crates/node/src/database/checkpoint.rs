//! The checkpointer: writes changed rows to the table in the background, then lets the log go.
//!
//! Images are taken under the lock, a few rows per hold, and written once the log is durable through them. When all
//! rows that had changed by the start of a round are written, the table is flushed and the checkpoint moves to where
//! the log was durable at that start.

mod aside;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use isles_replica::image::{Meta, TableChange};
use isles_replica::{Note, Position, Receipt, Replica, Restored};
use isles_store::{Batch, DirLock, LogSyncer, Table};
use metrics::{Counter, Histogram, counter, histogram};

use self::aside::Aside;
use super::memory::Relief;
use super::{Database, Settings, StopOnPanic, rest, wall_ms, writer};
use crate::config::{CheckpointConfig, LogConfig};
use crate::memory::allocated_bytes;

/// Rows imaged under one hold of the lock, and those of the last bucket: a few tens of microseconds.
const ROWS_PER_HOLD: usize = 128;
/// A batch is written when it holds this many bytes.
const BATCH_BYTES: usize = 1 << 20;
/// How often the thread looks whether a checkpoint is due, and puts rows to rest.
const LOOK: Duration = Duration::from_millis(100);
/// The same where rows leave memory: so much later than needed.
const LOOK_BOUNDED: Duration = Duration::from_millis(10);
/// How long nothing may be able to leave before it is said.
const STUCK_MAX: Duration = Duration::from_secs(10);

pub(super) struct Checkpointer {
    table: Arc<dyn Table>,
    syncer: LogSyncer,
    config: CheckpointConfig,
    log: LogConfig,
    last: Instant,
    written_bytes_then: u64,
    /// What is on its way to the table.
    batch: Batch,
    receipts: Vec<Receipt>,
    /// Who writes to the table while the next batch is made ready, and what of the batch before.
    aside: Option<Aside>,
    under_way: Option<Vec<Receipt>>,
    through: Position,
    /// Chooses what leaves memory.
    seed: u64,
    stuck_since: Option<Instant>,
    written_bytes: Counter,
    seconds: Histogram,
    hold_seconds: Histogram,
}

pub(super) fn spawn(
    database: Arc<Database>,
    mut checkpointer: Checkpointer,
    lock: DirLock,
) -> JoinHandle<()> {
    std::thread::Builder::new()
        .name("isles-table".to_owned())
        .spawn(move || {
            let _stop = StopOnPanic("writing a checkpoint");
            let look = match database.memory.is_bounded() {
                true => LOOK_BOUNDED,
                false => LOOK,
            };
            let mut rounds = rest::Rounds::new();
            while !database.stopping.load(Ordering::Acquire) && database.stopped.get().is_none() {
                std::thread::park_timeout(look);
                let asked = database.saves.is_asked() || database.backups.is_asked();
                let relief = checkpointer.relieve(&database);
                if checkpointer.is_due(&database) || asked || relief == Relief::NeedsCheckpoint {
                    checkpointer.round_or_fail(&database);
                }
                rounds.go_on(&database);
                database.backups.expire();
            }
            if database.failure().is_none() {
                // Nobody else wants the processor any more. Before, a second thread would only take it from commands.
                checkpointer.aside = Some(Aside::spawn(Arc::clone(&checkpointer.table)));
                checkpointer.round_or_fail(&database);
            }
            drop(checkpointer);
            drop(lock);
        })
        .expect("the machine has room for the checkpoint's thread")
}

impl Checkpointer {
    pub(super) fn new(table: Arc<dyn Table>, syncer: LogSyncer, settings: &Settings) -> Self {
        Checkpointer {
            table,
            syncer,
            config: settings.checkpoint.clone(),
            log: settings.log.clone(),
            last: Instant::now(),
            written_bytes_then: 0,
            batch: Batch::new(),
            receipts: Vec::new(),
            aside: None,
            under_way: None,
            through: Position::ZERO,
            seed: wall_ms(),
            stuck_since: None,
            written_bytes: counter!("isles_table_written_bytes_total"),
            seconds: histogram!("isles_checkpoint_seconds"),
            hold_seconds: histogram!("isles_checkpoint_hold_seconds"),
        }
    }

    /// Lets rows leave memory if there is too much in it.
    fn relieve(&mut self, database: &Database) -> Relief {
        let relief = database.memory.relieve(database, &mut self.seed);
        if relief != Relief::Stuck {
            self.stuck_since = None;
        } else if self.stuck_since.get_or_insert_with(Instant::now).elapsed() > STUCK_MAX {
            self.stuck_since = Some(Instant::now());
            tracing::warn!(
                "{} bytes are allocated and none of them can leave memory; memory.max is less than that: raise it",
                allocated_bytes()
            );
        }
        relief
    }

    fn is_due(&self, database: &Database) -> bool {
        let written = database.written_bytes.load(Ordering::Relaxed) - self.written_bytes_then;
        let elapsed = self.last.elapsed() >= self.config.interval;
        written >= self.config.dirty_bytes || (elapsed && written > 0)
    }

    /// A round that fails ends the node: what reached the table is unknown, and what was taken from memory to be written
    /// is not there twice. The log holds everything that the table lacks; the next start replays it.
    fn round_or_fail(&mut self, database: &Database) {
        self.written_bytes_then = database.written_bytes.load(Ordering::Relaxed);
        let begun = database
            .saves
            .begin(database.written_entries.load(Ordering::Relaxed));
        let begun_at = Instant::now();
        match self.round(database) {
            Ok(()) => {
                self.seconds.record(begun_at.elapsed());
                database.saves.end(&begun);
                database.backups.serve(database, &*self.table);
            }
            Err(error) if database.failure().is_none() => {
                database.fail(format!("a checkpoint has failed: {error:#}"));
            }
            Err(_) => {}
        }
        self.last = Instant::now();
    }

    /// Writes all rows that have changed by now, and moves the checkpoint.
    fn round(&mut self, database: &Database) -> anyhow::Result<()> {
        let ((restored, buckets), id) = self.hold(database, |replica, wall_ms| {
            replica.trim_journal(wall_ms);
            (replica.begin_checkpoint(), replica.id())
        });
        let mut left = buckets;
        loop {
            let images = self.hold(database, |replica, _| replica.take_images(ROWS_PER_HOLD));
            left = left.saturating_sub(images.buckets());
            self.through = self.through.max(images.position());
            let batch = &mut self.batch;
            images.encode(&mut |change| match change {
                TableChange::Put(key, value) => batch.put(key, value),
                TableChange::Delete(key) => batch.delete(key),
            });
            // While images exist, writers copy the pages in them.
            self.receipts.push(images.receipt());
            if self.batch.bytes() >= BATCH_BYTES {
                self.hand_over(database)?;
                if self.under_way.is_none() {
                    self.relieve(database);
                }
            }
            if left == 0 {
                break;
            }
        }
        self.hand_over(database)?;
        self.await_aside(database)?;
        self.move_to(database, &restored, id)
    }

    /// Writes what has been taken so far.
    ///
    /// Invariant: no row is in the table whose entries are not on the disk. Without a sync for each of them the machine
    /// could lose the end of its log and keep rows that hold more; entries that come again from peers, under other
    /// positions, would then meet rows that seem to have them.
    fn hand_over(&mut self, database: &Database) -> anyhow::Result<()> {
        wait_durable(database, self.through)?;
        database.sync_log(&self.syncer)?;
        let batch = std::mem::take(&mut self.batch);
        let receipts = std::mem::take(&mut self.receipts);
        self.await_aside(database)?;
        if let Some(aside) = &self.aside {
            self.written_bytes.increment(batch.bytes() as u64);
            aside.begin(batch);
            self.under_way = Some(receipts);
            return Ok(());
        }
        self.write(batch)?;
        self.note_written(database, receipts);
        Ok(())
    }

    /// Waits until nothing is under way.
    fn await_aside(&mut self, database: &Database) -> anyhow::Result<()> {
        if let (Some(aside), Some(receipts)) = (&self.aside, self.under_way.take()) {
            aside.wait()?;
            self.note_written(database, receipts);
        }
        Ok(())
    }

    /// Says that rows are in the table.
    fn note_written(&self, database: &Database, receipts: Vec<Receipt>) {
        self.hold(database, |replica, _| {
            receipts
                .into_iter()
                .for_each(|receipt| replica.note_written(receipt));
        });
    }

    /// As [`Database::hold`], timed: commands wait for as long.
    fn hold<R>(&self, database: &Database, act: impl FnOnce(&mut Replica, u64) -> R) -> R {
        let (result, held) = database.hold(|replica, wall_ms| {
            let begun = Instant::now();
            (act(replica, wall_ms), begun.elapsed())
        });
        self.hold_seconds.record(held);
        result
    }

    fn write(&self, batch: Batch) -> anyhow::Result<()> {
        self.written_bytes.increment(batch.bytes() as u64);
        self.table.write(batch)?;
        Ok(())
    }

    fn move_to(
        &mut self,
        database: &Database,
        restored: &Restored,
        replica: isles_clock::ReplicaId,
    ) -> anyhow::Result<()> {
        let checkpoint = database.checkpoint.load(Ordering::Relaxed) + 1;
        let meta = Meta {
            replica,
            record: restored.record,
            applied: restored.applied.clone(),
            hlc: restored.hlc,
            chains: restored.chains.clone(),
            checkpoint,
            boot: database.start.boot.clone(),
            has_index: true,
        };
        let mut batch = Batch::new();
        batch.put(Meta::key(), meta.encode());
        self.write(batch)?;
        self.table.persist()?;
        database.checkpoint.store(checkpoint, Ordering::Relaxed);
        let record = restored.record;
        database.hold(|replica, _| replica.log_note(Note::Checkpoint { checkpoint, record }));
        if let Err(error) = self.trim(database, record) {
            // The checkpoint stands; only the log stays longer than it must, until a later round.
            tracing::warn!("the log cannot be trimmed yet: {error:#}");
        }
        Ok(())
    }

    /// Lets log go that the table covers, that every peer holds, and that is older than what is kept anyway.
    fn trim(&self, database: &Database, record: u64) -> anyhow::Result<()> {
        let segments = database.reader.segments();
        let kept = self.log.retention_bytes.div_ceil(self.log.segment_bytes) as usize;
        let peers = database.peers_durable.lock();
        let droppable = segments
            .windows(2)
            .take(segments.len().saturating_sub(kept + 1))
            .take_while(|pair| {
                let through = writer::clock_of(&pair[1].note);
                pair[1].first.0 <= record
                    && peers.values().all(|durable| durable.dominates(&through))
            });
        let Some(before) = droppable.last().map(|pair| pair[1].first) else {
            return Ok(());
        };
        drop(peers);
        // The table's own journal may be damaged unseen: what the log drops must lie in immutable files.
        self.table.flush()?;
        database.writer.lock().trim(database, before)?;
        Ok(())
    }
}

/// Waits until the log is durable through a place: what goes to the table must never run ahead of it.
///
/// # Errors
/// The log has stopped before.
fn wait_durable(database: &Database, through: Position) -> anyhow::Result<()> {
    let me = std::thread::current();
    let waker = std::task::Waker::from(Arc::new(Unpark(me)));
    while database.durable() < through {
        anyhow::ensure!(database.failure().is_none(), "the log has stopped");
        database.waiters.push(through, &waker);
        if database.durable() >= through {
            break;
        }
        std::thread::park_timeout(LOOK);
    }
    Ok(())
}

struct Unpark(std::thread::Thread);

impl std::task::Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
