//! A thread that writes to the table what another has made ready: at a stop, when nobody else wants the processor.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use isles_store::{Batch, Table, TableError};

use crate::database::StopOnPanic;

/// Writes batches in the order in which they come, at most one ahead of whoever waits for it.
pub(super) struct Aside {
    /// None once it is told to end.
    batches: Option<SyncSender<Batch>>,
    written: Receiver<Result<(), TableError>>,
    thread: Option<JoinHandle<()>>,
}

impl Aside {
    pub(super) fn spawn(table: Arc<dyn Table>) -> Aside {
        let (batches, incoming) = sync_channel::<Batch>(1);
        let (outgoing, written) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("isles-aside".to_owned())
            .spawn(move || {
                let _stop = StopOnPanic("writing a checkpoint");
                while let Ok(batch) = incoming.recv() {
                    if outgoing.send(table.write(batch)).is_err() {
                        return;
                    }
                }
            })
            .expect("the machine has room for a thread that writes");
        Aside {
            batches: Some(batches),
            written,
            thread: Some(thread),
        }
    }

    /// Hands over a batch; [`wait`](Self::wait) is to follow, once for each.
    pub(super) fn begin(&self, batch: Batch) {
        let sent = self.batches.as_ref().map(|batches| batches.send(batch));
        sent.and_then(Result::ok)
            .expect("invariant: the thread waits for batches as long as this is there");
    }

    /// Waits until the batch is in the table.
    pub(super) fn wait(&self) -> Result<(), TableError> {
        self.written
            .recv()
            .expect("invariant: the thread answers every batch")
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        self.batches = None;
        if let Some(thread) = self.thread.take() {
            // A panic in it has ended the process.
            let _ = thread.join();
        }
    }
}
