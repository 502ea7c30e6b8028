//! Handing out all data as it was at one moment, while the node goes on.
//!
//! A view is the table as it stands after a checkpoint, and the log from there on through what was durable then: what a
//! start would read. Together they are consistent, with one vector clock, though the rows of the table alone are not.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use isles_clock::VectorClock;
use isles_replica::Frame;
use isles_replica::image::Meta;
use isles_store::archive::encode_item;
use isles_store::{LogReader, RecordKind, RecordNumber, Table, TableSnapshot};
use parking_lot::Mutex;

use super::Database;

/// Keys of a backup that are records of the log: this, then the number. They come before [`ROW`].
pub(crate) const RECORD: u8 = b'l';
/// Keys of a backup that are rows of the table: this, then their key there.
pub(crate) const ROW: u8 = b't';

/// Of keys and values so many bytes are handed out at a time, or one key that has more.
const PIECE_BYTES: usize = 4 << 20;
/// The log of a view is held in memory. A checkpoint comes right before it, so there is little of it.
const TAIL_BYTES_MAX: usize = 1 << 30;
/// A view that nobody asks for is let go after this long: it keeps the table from forgetting what was overwritten.
const IDLE_MAX: Duration = Duration::from_secs(600);
/// How often whoever waits for a view looks whether the node still runs.
const LOOK: Duration = Duration::from_millis(100);

/// The view that is being handed out, and who waits for one.
#[derive(Default)]
pub(super) struct Backups {
    waiting: Mutex<Vec<SyncSender<Result<View, String>>>>,
    current: Mutex<Option<Current>>,
}

/// All data at one moment.
struct View {
    about: About,
    tail: VecDeque<Item>,
    snapshot: Box<dyn TableSnapshot>,
}

/// A key of a backup, and its value.
type Item = (Vec<u8>, Vec<u8>);

/// What is known of a view.
#[derive(Clone, Debug)]
pub(crate) struct About {
    /// The record through which the table's checkpoint holds everything.
    pub(crate) record: u64,
    /// The record with which the view ends.
    pub(crate) through: u64,
    /// Number of the checkpoint.
    pub(crate) checkpoint: u64,
    /// All that is in it.
    pub(crate) applied: VectorClock,
}

struct Current {
    id: u64,
    view: View,
    /// The table's key that comes next.
    next: Option<Vec<u8>>,
    used: Instant,
}

impl Backups {
    /// Whether somebody waits for a view.
    pub(super) fn is_asked(&self) -> bool {
        !self.waiting.lock().is_empty()
    }

    /// A checkpoint has just been completed: whoever waits gets a view of it.
    pub(super) fn serve(&self, database: &Database, table: &dyn Table) {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        for waiter in waiting {
            let view = View::take(database, table).map_err(|error| format!("{error:#}"));
            // It may have gone.
            let _ = waiter.send(view);
        }
    }

    /// Lets go of a view that nobody asks for.
    pub(super) fn expire(&self) {
        let mut current = self.current.lock();
        if current
            .as_ref()
            .is_some_and(|view| view.used.elapsed() > IDLE_MAX)
        {
            tracing::warn!("a backup was begun and not gone on with; it is let go");
            *current = None;
        }
    }

    fn ask(&self) -> Receiver<Result<View, String>> {
        let (sender, receiver) = sync_channel(1);
        self.waiting.lock().push(sender);
        receiver
    }
}

impl View {
    fn take(database: &Database, table: &dyn Table) -> anyhow::Result<View> {
        let snapshot = table.snapshot();
        // Rows are written once the log is durable through them: so it is through all that are in the snapshot.
        let through = database.durable().frame();
        let meta = snapshot
            .get(Meta::key())?
            .context("the table has no checkpoint")?;
        let meta = Meta::decode(&meta)?;
        let mut about = About {
            record: meta.record,
            through,
            checkpoint: meta.checkpoint,
            applied: meta.applied,
        };
        let tail = tail(database.reader(), &mut about)?;
        Ok(View {
            about,
            tail,
            snapshot,
        })
    }
}

fn tail(reader: &LogReader, about: &mut About) -> anyhow::Result<VecDeque<Item>> {
    let (mut tail, mut bytes) = (VecDeque::new(), 0);
    for record in reader.scan(RecordNumber(about.record + 1)) {
        let record = record?;
        if record.number.0 > about.through {
            break;
        }
        bytes += record.bytes.len();
        ensure!(
            bytes <= TAIL_BYTES_MAX,
            "more than {TAIL_BYTES_MAX} bytes were written during one checkpoint; try again when less is written"
        );
        let key = [&[RECORD][..], &record.number.0.to_be_bytes()].concat();
        let mut value = (record.kind as u32).to_le_bytes().to_vec();
        value.extend_from_slice(&record.bytes);
        if record.kind == RecordKind::Frame {
            let frame = Frame::decode(record.bytes.into())
                .with_context(|| format!("record {} of the log is no frame", record.number))?;
            about.applied.observe(frame.last_dot());
        }
        tail.push_back((key, value));
    }
    let last = about.record + tail.len() as u64;
    ensure!(last == about.through, "the log ends with record {last}");
    Ok(tail)
}

impl Database {
    /// Takes a view of all data, in the place of one that may be there; answers its number. Waits for a checkpoint.
    ///
    /// # Errors
    /// The node stops, or something cannot be read.
    pub(crate) fn begin_backup(&self) -> anyhow::Result<(u64, About)> {
        let receiver = self.backups.ask();
        self.ask_for_checkpoint();
        let view = loop {
            match receiver.recv_timeout(LOOK) {
                Ok(view) => break view.map_err(anyhow::Error::msg)?,
                Err(RecvTimeoutError::Timeout) if self.failure().is_none() => {}
                Err(_) => anyhow::bail!("the node stops"),
            }
        };
        let about = view.about.clone();
        let id = u64::from_le_bytes(super::open::random()?) >> 1;
        *self.backups.current.lock() = Some(Current {
            id,
            view,
            next: Some(Vec::new()),
            used: Instant::now(),
        });
        Ok((id, about))
    }

    /// The next keys and values of a view, in order; none after the last ones, with which the view is let go.
    ///
    /// # Errors
    /// There is no such view, or the table cannot be read.
    pub(crate) fn next_of_backup(&self, id: u64) -> anyhow::Result<Option<Vec<u8>>> {
        let mut current = self.backups.current.lock();
        let view = current.as_mut().filter(|view| view.id == id).context(
            "there is no such backup under way: another one was begun, or nobody had asked for more of it for 10 minutes",
        )?;
        let piece = view.piece()?;
        if piece.is_empty() {
            *current = None;
            return Ok(None);
        }
        Ok(Some(piece))
    }

    /// Lets a view go; whether it was there.
    pub(crate) fn end_backup(&self, id: u64) -> bool {
        let mut current = self.backups.current.lock();
        let is_it = current.as_ref().is_some_and(|view| view.id == id);
        if is_it {
            *current = None;
        }
        is_it
    }
}

impl Current {
    fn piece(&mut self) -> anyhow::Result<Vec<u8>> {
        self.used = Instant::now();
        let mut piece = Vec::new();
        while piece.len() < PIECE_BYTES
            && let Some((key, value)) = self.view.tail.pop_front()
        {
            encode_item(&key, &value, &mut piece);
        }
        let Some(from) = self.next.take_if(|_| piece.len() < PIECE_BYTES) else {
            return Ok(piece);
        };
        let mut next = None;
        self.view.snapshot.scan(&from, None, &mut |key, value| {
            if piece.len() >= PIECE_BYTES {
                next = Some(key.to_vec());
                return std::ops::ControlFlow::Break(());
            }
            encode_item(&[&[ROW][..], key].concat(), value, &mut piece);
            std::ops::ControlFlow::Continue(())
        })?;
        self.next = next;
        Ok(piece)
    }
}
