//! Who writes the log, and when.
//!
//! What has to be written rings a bell. A task on the runtime hears it, lets every request that has arrived run first,
//! so that they share one write, and then takes the writer's turn itself: nothing wakes another thread, and the answers
//! leave from where they were made. A thread of its own takes the turns that may block: all of them where each ends in
//! a sync, and those during a sync elsewhere, for which a write may have to wait.
//!
//! Where each turn ends in a sync, one is in flight while the next frame fills. When it ends, those whose entries it covered
//! are answered before the next begins, and what they send at once joins the frame that waits: else two halves of the writers
//! would take turns for ever, each waiting for the sync of the other. There is no timer: the next begins when as many wait
//! again as before, or when a few looks at the sockets in a row have found nobody.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use isles_store::{LogError, LogSyncer};

use super::waiters::Waiters;
use super::{Database, StopOnPanic};
use crate::config::Durability;

/// A sync begins after so many looks in a row at which nobody has joined: some microseconds each.
const IDLE_LOOKS_MAX: usize = 8;
/// And after so many in all.
const LOOKS_MAX: usize = 256;

/// Starts the task, the thread, and under `interval` the thread that syncs.
pub(super) fn spawn(database: &Arc<Database>, syncer: LogSyncer) -> JoinHandle<()> {
    tokio::spawn(attend(Arc::clone(database)));
    if database.durability != Durability::Always {
        tokio::spawn(wake_waiters(Arc::clone(database)));
    }
    let syncing = match database.durability {
        Durability::Interval(every) => Some(spawn_syncer(Arc::clone(database), syncer, every)),
        Durability::Always | Durability::Never => None,
    };
    let database = Arc::clone(database);
    std::thread::Builder::new()
        .name("isles-log".to_owned())
        .spawn(move || {
            let _stop = StopOnPanic("writing the log");
            take_blocking_turns(&database);
            if let Some(syncing) = syncing {
                syncing.thread().unpark();
                let _ = syncing.join();
            }
        })
        .expect("the machine has room for the log's thread")
}

/// Under `interval` a thread of its own syncs, so that writing goes on meanwhile.
fn spawn_syncer(database: Arc<Database>, syncer: LogSyncer, every: Duration) -> JoinHandle<()> {
    let histogram = metrics::histogram!("isles_log_sync_seconds");
    std::thread::Builder::new()
        .name("isles-sync".to_owned())
        .spawn(move || {
            let _stop = StopOnPanic("syncing the log");
            while !database.stopping.load(Ordering::Acquire) && database.stopped.get().is_none() {
                std::thread::park_timeout(every);
                let started = Instant::now();
                match database.sync_log(&syncer) {
                    Ok(()) => histogram.record(started.elapsed()),
                    Err(error) => database.fail(error.to_string()),
                }
            }
        })
        .expect("the machine has room for the sync's thread")
}

async fn attend(database: Arc<Database>) {
    let _stop = StopOnPanic("writing the log");
    let mut expected = 0;
    while !database.stopping.load(Ordering::Acquire) && database.stopped.get().is_none() {
        database.log_bell.notified().await;
        tokio::task::yield_now().await;
        if database.durability == Durability::Always {
            gather(&database.waiters, expected).await;
            database.ask_log_thread();
            database.written_bell.notified().await;
            expected = database.waiters.count();
            database.waiters.wake(database.durable());
        } else if !database.try_turn() {
            database.ask_log_thread();
        }
    }
}

/// Lets those join who were answered and send more at once, until as many wait as are expected.
async fn gather(waiters: &Waiters, expected: usize) {
    let (mut waiting, mut idle) = (waiters.count(), 0);
    for _ in 0..LOOKS_MAX {
        if waiting >= expected || idle == IDLE_LOOKS_MAX {
            break;
        }
        // Each look runs every request that has arrived.
        tokio::task::yield_now().await;
        let now = waiters.count();
        idle = if now > waiting { 0 } else { idle + 1 };
        waiting = now;
    }
}

/// Wakes those whose entries the thread has written where nobody waits for it. From here that costs a push to the runtime's
/// own queue; from the thread each would cost a push to a shared one, and compete with the worker that takes them out.
async fn wake_waiters(database: Arc<Database>) {
    let _stop = StopOnPanic("waking those who wait for the log");
    while !database.stopping.load(Ordering::Acquire) && database.stopped.get().is_none() {
        database.written_bell.notified().await;
        database.waiters.wake(database.durable());
    }
}

/// The thread: parked until somebody needs a turn that may block, or the node stops.
fn take_blocking_turns(database: &Database) {
    loop {
        let stopping = database.stopping.load(Ordering::Acquire);
        if !stopping && !database.turn_asked.swap(false, Ordering::AcqRel) {
            std::thread::park();
            continue;
        }
        let result = if stopping {
            database.last_turns()
        } else {
            database.turn()
        };
        if let Err(error) = result {
            database.fail(error.to_string());
            return;
        }
        if stopping {
            return;
        }
    }
}

impl Database {
    /// Says that there is something to write.
    pub(super) fn ring_log(&self) {
        if !self.log_pending.swap(true, Ordering::AcqRel) {
            self.log_bell.notify_one();
        }
    }

    fn ask_log_thread(&self) {
        self.turn_asked.store(true, Ordering::Release);
        if let Some(thread) = self.log_thread.get() {
            thread.unpark();
        }
    }

    /// Takes a turn if that cannot block; says whether somebody else must.
    fn try_turn(&self) -> bool {
        if self.syncing.load(Ordering::Acquire) > 0 {
            return false;
        }
        let Some(mut writer) = self.writer.try_lock() else {
            return false;
        };
        self.log_pending.store(false, Ordering::Release);
        match writer.turn(self) {
            Ok(()) => self.waiters.wake(self.durable()),
            Err(error) => self.fail(error.to_string()),
        }
        true
    }

    fn turn(&self) -> Result<(), LogError> {
        let mut writer = self.writer.lock();
        self.log_pending.store(false, Ordering::Release);
        writer.turn(self)?;
        self.written_bell.notify_one();
        Ok(())
    }

    /// Writes what is left when everyone has stopped writing, and that the stop was a clean one.
    fn last_turns(&self) -> Result<(), LogError> {
        let mut writer = self.writer.lock();
        while self.lock().replica.has_unlogged() {
            writer.turn(self)?;
        }
        writer.finish(self)?;
        self.waiters.wake(self.durable());
        // Whoever still listens hears that it is over.
        self.written_bell.notify_one();
        Ok(())
    }

    /// Syncs the log; meanwhile turns go to the thread.
    pub(super) fn sync_log(&self, syncer: &LogSyncer) -> Result<(), LogError> {
        self.syncing.fetch_add(1, Ordering::AcqRel);
        let result = syncer.sync();
        self.syncing.fetch_sub(1, Ordering::AcqRel);
        result.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use isles_replica::Position;

    use super::*;

    /// Waits from the look of that number on.
    fn join(waiters: &Arc<Waiters>, look: usize) {
        let waiters = Arc::clone(waiters);
        tokio::spawn(async move {
            for _ in 0..look {
                tokio::task::yield_now().await;
            }
            waiters.push(Position::ZERO, std::task::Waker::noop());
        });
    }

    /// Whoever was answered a moment ago would else wait for a sync that began without need.
    #[tokio::test]
    async fn a_sync_waits_for_those_who_were_answered() {
        let waiters = Arc::new(Waiters::default());
        for connection in 0..10 {
            join(&waiters, connection * IDLE_LOOKS_MAX / 2);
        }
        gather(&waiters, 10).await;
        assert_eq!(waiters.count(), 10);
    }

    #[tokio::test]
    async fn a_sync_waits_for_nobody_who_sends_no_more() {
        let waiters = Arc::new(Waiters::default());
        join(&waiters, 0);
        join(&waiters, 10 * IDLE_LOOKS_MAX);
        gather(&waiters, 2).await;
        assert_eq!(waiters.count(), 1);
        // Nor does one whom all have joined.
        join(&waiters, 1);
        gather(&waiters, 1).await;
        assert_eq!(waiters.count(), 1);
    }
}
