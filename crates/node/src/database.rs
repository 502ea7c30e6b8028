//! A replica with its lock, its log and its table: what makes the state machine durable.
//!
//! One mutex guards the replica, another the log's writer, whose turns are taken by a task or a thread; a thread writes
//! the checkpoints. Whoever must wait until the log is durable leaves a waker and is woken by the writer.

pub(crate) mod backup;
mod blocked;
mod checkpoint;
mod held;
mod log_turns;
mod memory;
mod open;
mod owner;
mod progress;
mod reaper;
pub(crate) mod rebuild;
mod renew;
mod replay;
mod rest;
mod saves;
#[cfg(test)]
mod tests;
mod waiters;
mod writer;

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use isles_clock::VectorClock;
use isles_replica::history::History;
use isles_replica::session::{Exchange, ReplicaHost};
use isles_replica::{Position, Replica};
use isles_resp::{EngineStopped, RowSource};
use isles_store::LogReader;
use parking_lot::Mutex;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{Notify, watch};

use self::backup::Backups;
use self::held::{Held, StopOnPanic};
use self::memory::Memory;
pub(crate) use self::open::{Opened, open, scan_prefix};
pub(crate) use self::progress::Progress;
use self::reaper::Reaper;
pub(crate) use self::renew::{logged_after, renew, renew_in};
use self::saves::Saves;
use self::waiters::Waiters;
use self::writer::Writer;
pub(crate) use self::writer::{clock_of, note_of};
use crate::config::{CheckpointConfig, Durability, LogConfig};

/// Writers wait while more than this is applied and not yet durable.
const UNDURABLE_BYTES_MAX: usize = 256 << 20;
/// How long whoever wants the replica keeps a thread of the runtime waiting. Commands hold it for far less; a script may hold it
/// for many seconds.
const LOCK_PATIENCE: Duration = Duration::from_millis(5);

/// The replica behind its lock, and what waits for its log.
pub(crate) struct Database {
    state: Mutex<State>,
    history: Mutex<History>,
    reader: LogReader,
    durable: AtomicU64,
    undurable_bytes: AtomicU64,
    waiters: Waiters,
    reaper: Reaper,
    /// Per configured peer, what it holds durably; empty until it has said so.
    peers_durable: Mutex<BTreeMap<String, VectorClock>>,
    /// Changes whenever the log has become durable further; sessions watch it.
    progress: watch::Sender<u64>,
    writer: Mutex<Writer>,
    /// Whether somebody has rung since the last turn began.
    log_pending: AtomicBool,
    /// Whether the log's thread is to take a turn.
    turn_asked: AtomicBool,
    log_bell: Notify,
    /// Rings when what peers have sent has changed a key that somebody waits for.
    changed_keys_bell: Notify,
    /// Rings when the log's thread has written something.
    written_bell: Notify,
    log_thread: OnceLock<std::thread::Thread>,
    checkpoint_thread: OnceLock<std::thread::Thread>,
    /// Syncs under way: a write may have to wait for them.
    syncing: AtomicU32,
    stopped: OnceLock<String>,
    /// Rings once when the log has stopped by itself.
    failed: Notify,
    stopping: AtomicBool,
    checkpoint: AtomicU64,
    saves: Saves,
    backups: Backups,
    memory: Memory,
    written_bytes: AtomicU64,
    /// Entries in the log since the start, own and others'.
    written_entries: AtomicU64,
    durability: Durability,
    start: Start,
    directory: PathBuf,
}

/// What a database is told when it starts.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) durability: Durability,
    pub(crate) checkpoint: CheckpointConfig,
    pub(crate) log: LogConfig,
    /// Bytes that may be allocated.
    pub(crate) memory_max: Option<u64>,
    /// Names of the peers whose acks the log waits for before it lets anything go.
    pub(crate) peers: Vec<String>,
}

/// What is particular to one start of the process.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    /// The boot of the machine.
    pub(crate) boot: String,
    /// Random, of this start alone.
    pub(crate) nonce: u64,
}

/// What the lock guards.
pub(crate) struct State {
    pub(crate) replica: Replica,
    /// What the sessions with peers share.
    pub(crate) exchange: Exchange,
}

impl State {
    /// The replica as its sessions see it.
    pub(crate) fn host(&mut self) -> ReplicaHost<'_> {
        ReplicaHost {
            replica: &mut self.replica,
            exchange: &mut self.exchange,
        }
    }
}

/// The threads of a database; stopping them in order makes the next start a short one.
pub(crate) struct Threads {
    log: JoinHandle<()>,
    checkpoint: JoinHandle<()>,
    loader: JoinHandle<()>,
}

/// Milliseconds since 1970.
pub(crate) fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

impl Database {
    /// Starts the threads of an opened database.
    pub(crate) fn start(opened: Opened, settings: Settings) -> (Arc<Database>, Threads) {
        let Opened {
            state,
            history,
            log,
            table,
            chain,
            lock,
            start,
            checkpoint: number,
            directory,
        } = opened;
        held::watch_panics();
        let durable_record = state.replica.durable_record();
        let (reader, syncer) = (log.reader(), log.syncer());
        let writer = Writer::new(log, chain, state.replica.durable().clone());
        let database = Arc::new(Database {
            durable: AtomicU64::new(Position::end_of(durable_record).as_u64()),
            progress: watch::Sender::new(durable_record),
            state: Mutex::new(state),
            history: Mutex::new(history),
            reader,
            writer: Mutex::new(writer),
            undurable_bytes: AtomicU64::new(0),
            waiters: Waiters::default(),
            reaper: Reaper::spawn(),
            peers_durable: Mutex::new(
                settings
                    .peers
                    .iter()
                    .map(|node| (node.clone(), VectorClock::new()))
                    .collect(),
            ),
            log_pending: AtomicBool::new(false),
            turn_asked: AtomicBool::new(false),
            log_bell: Notify::new(),
            changed_keys_bell: Notify::new(),
            written_bell: Notify::new(),
            log_thread: OnceLock::new(),
            checkpoint_thread: OnceLock::new(),
            syncing: AtomicU32::new(0),
            stopped: OnceLock::new(),
            failed: Notify::new(),
            stopping: AtomicBool::new(false),
            checkpoint: AtomicU64::new(number),
            saves: Saves::new(),
            backups: Backups::default(),
            memory: Memory::new(settings.memory_max, Arc::clone(&table)),
            written_bytes: AtomicU64::new(0),
            written_entries: AtomicU64::new(0),
            durability: settings.durability,
            start,
            directory,
        });
        let log_thread = log_turns::spawn(&database, syncer.clone());
        let _ = database.log_thread.set(log_thread.thread().clone());
        let checkpointer = checkpoint::Checkpointer::new(table, syncer, &settings);
        let checkpoint_thread = checkpoint::spawn(Arc::clone(&database), checkpointer, lock);
        let thread = checkpoint_thread.thread().clone();
        let _ = database.checkpoint_thread.set(thread);
        let loader = memory::spawn(&database);
        database.ring_log();
        (
            database,
            Threads {
                log: log_thread,
                checkpoint: checkpoint_thread,
                loader,
            },
        )
    }

    /// Runs the closure under the replica's lock and has the log written if that has become needed.
    pub(crate) fn hold<R>(&self, act: impl FnOnce(&mut Replica, u64) -> R) -> R {
        self.hold_state(|state, wall_ms| act(&mut state.replica, wall_ms))
    }

    /// The same, unless the lock cannot be had soon: then the closure is dropped.
    pub(crate) fn try_hold<R>(&self, act: impl FnOnce(&mut Replica, u64) -> R) -> Option<R> {
        let state = self.state.try_lock_for(LOCK_PATIENCE)?;
        Some(self.run(Held::new(state), |state, wall_ms| {
            act(&mut state.replica, wall_ms)
        }))
    }

    /// The same as [`hold`](Self::hold), with what the sessions share.
    pub(crate) fn hold_state<R>(&self, act: impl FnOnce(&mut State, u64) -> R) -> R {
        self.run(self.lock(), act)
    }

    /// Takes the lock. Whoever waits for long gives its worker of the runtime to another thread meanwhile, so that a script that
    /// holds the lock stops nothing but what needs the replica.
    fn lock(&self) -> Held<'_> {
        match self.state.try_lock_for(LOCK_PATIENCE) {
            Some(state) => Held::new(state),
            None => self.lock_aside(),
        }
    }

    #[cold]
    fn lock_aside(&self) -> Held<'_> {
        let on_worker = Handle::try_current()
            .is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread);
        let state = match on_worker {
            true => tokio::task::block_in_place(|| self.state.lock()),
            false => self.state.lock(),
        };
        Held::new(state)
    }

    fn run<R>(&self, mut state: Held<'_>, act: impl FnOnce(&mut State, u64) -> R) -> R {
        let idle = !state.replica.has_unlogged();
        let result = act(&mut state, wall_ms());
        let wake = idle && state.replica.has_unlogged();
        let changed_keys = state.replica.has_changed_keys();
        let wants_rows = !state.replica.awaited().is_empty() || state.replica.has_wanting();
        let garbage = state.replica.has_garbage();
        let garbage = garbage.then(|| state.replica.take_garbage());
        drop(state);
        if let Some(garbage) = garbage {
            self.reaper.reap(garbage);
        }
        if changed_keys {
            self.changed_keys_bell.notify_one();
        }
        if wants_rows {
            self.memory.ring();
        }
        if wake {
            self.ring_log();
        }
        result
    }

    /// Applies remote frames that have become ready: at once if no own entry is open, else the log's writer does it
    /// right after it has sealed what is open.
    pub(crate) fn apply_ready(&self) {
        let more = self.hold_state(|state, wall_ms| {
            state.replica.is_open() || state.replica.apply_ready(wall_ms) > 0
        });
        if more {
            self.ring_log();
        }
    }

    /// The place through which the log is durable.
    pub(crate) fn durable(&self) -> Position {
        Position::from_u64(self.durable.load(Ordering::Acquire))
    }

    /// Waits until the log is durable through a place.
    pub(crate) fn wait_durable(
        &self,
        position: Position,
    ) -> impl Future<Output = Result<(), EngineStopped>> + Send + '_ {
        std::future::poll_fn(move |context| {
            if self.durable() >= position {
                return std::task::Poll::Ready(Ok(()));
            }
            if self.stopped.get().is_some() {
                return std::task::Poll::Ready(Err(EngineStopped));
            }
            self.waiters.push(position, context.waker());
            // The log may have come this far between the look and the push.
            match self.durable() >= position {
                true => std::task::Poll::Ready(Ok(())),
                false if self.stopped.get().is_some() => std::task::Poll::Ready(Err(EngineStopped)),
                false => std::task::Poll::Pending,
            }
        })
    }

    /// Whether the log keeps up with the writers.
    pub(crate) fn has_room(&self) -> bool {
        self.undurable_bytes.load(Ordering::Relaxed) < UNDURABLE_BYTES_MAX as u64
            && self.memory.has_room()
    }

    /// Waits until a key that somebody waits for has changed, and not by a command; for one caller.
    pub(crate) async fn wait_changed_keys(&self) {
        self.changed_keys_bell.notified().await;
    }

    /// Waits until the log has caught up.
    pub(crate) async fn wait_room(&self) {
        let mut progress = self.progress.subscribe();
        while !self.has_room() && self.stopped.get().is_none() && progress.changed().await.is_ok() {
        }
    }

    /// A view of the log's progress that wakes its holder.
    pub(crate) fn progress(&self) -> watch::Receiver<u64> {
        self.progress.subscribe()
    }

    /// The recent durable frames.
    pub(crate) fn history(&self) -> &Mutex<History> {
        &self.history
    }

    /// Rows that are not in memory, for those who miss some.
    pub(crate) fn rows(&self) -> Arc<dyn RowSource> {
        self.memory.rows()
    }

    /// The log on disk.
    pub(crate) fn reader(&self) -> &LogReader {
        &self.reader
    }

    /// The number of the newest checkpoint.
    pub(crate) fn checkpoint(&self) -> u64 {
        self.checkpoint.load(Ordering::Relaxed)
    }

    /// What is particular to this start of the process.
    pub(crate) fn this_start(&self) -> &Start {
        &self.start
    }

    /// How far a peer's log is durable: what everyone has need not be kept.
    pub(crate) fn note_peer_durable(&self, node: &str, durable: &VectorClock) {
        self.peers_durable
            .lock()
            .insert(node.to_owned(), durable.clone());
    }

    /// Where the log and the table lie.
    pub(crate) fn directory(&self) -> &std::path::Path {
        &self.directory
    }

    /// Why the log has stopped, if it has.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.stopped.get().map(String::as_str)
    }

    /// Waits until the log can go no further, and says why; for one caller.
    pub(crate) async fn failed(&self) -> String {
        loop {
            if let Some(reason) = self.failure() {
                return reason.to_owned();
            }
            self.failed.notified().await;
        }
    }

    /// The database can go no further, or must not: nothing that waits for the log will ever leave.
    pub(crate) fn fail(&self, reason: String) {
        let _ = self.stopped.set(reason);
        self.failed.notify_one();
        self.waiters.wake_all();
        self.saves.wake();
        self.progress.send_modify(|_| {});
    }
}

impl Threads {
    /// Writes what is open, a last checkpoint and a note that the stop was a clean one, and waits for the threads.
    pub(crate) fn stop(self, database: &Database) {
        database.stopping.store(true, Ordering::Release);
        self.loader.thread().unpark();
        if self.loader.join().is_err() {
            tracing::error!("the loader's thread has panicked");
        }
        self.checkpoint.thread().unpark();
        if self.checkpoint.join().is_err() {
            tracing::error!("the checkpoint's thread has panicked");
        }
        database.log_bell.notify_one();
        self.log.thread().unpark();
        if self.log.join().is_err() {
            tracing::error!("the log's thread has panicked");
        }
    }
}
