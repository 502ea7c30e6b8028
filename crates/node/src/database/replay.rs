//! Taking up the log at start-up, with the rows that it changes: they are read some frames ahead, by all cores.

use std::cell::RefCell;

use anyhow::Context;
use isles_replica::image::ScanTable;
use isles_replica::{Frame, Loaded, Missing, Note, ReplayError, Replica};
use isles_store::{Log, RecordKind, RecordNumber, Table};

use super::open::TableLost;
use super::{Progress, scan_prefix, wall_ms};

/// Records whose rows are read together, and bytes of them.
const AHEAD_RECORDS: usize = 256;
const AHEAD_BYTES: usize = 1 << 20;
/// Rows below which it is not worth a thread.
const ROWS_PER_THREAD: usize = 64;

/// Replays the log from a record on.
///
/// # Errors
/// The log or the table cannot be read, or they do not fit together.
pub(super) fn replay(
    replica: &mut Replica,
    log: &Log,
    from: RecordNumber,
    table: &dyn Table,
    progress: &Progress,
) -> anyhow::Result<()> {
    let last = log.reader().last().0;
    let (mut ahead, mut bytes) = (Vec::new(), 0);
    for record in log.scan(from) {
        let record = record?;
        let number = record.number.0;
        bytes += record.bytes.len();
        ahead.push((number, Logged::decode(number, record.kind, record.bytes)?));
        if ahead.len() == AHEAD_RECORDS || bytes >= AHEAD_BYTES {
            replay_all(replica, &ahead, table)?;
            progress.note_record(number, last);
            ahead.clear();
            bytes = 0;
        }
    }
    replay_all(replica, &ahead, table)
}

/// A record of the log.
enum Logged {
    Frame(Frame),
    Note(Note),
}

impl Logged {
    fn decode(number: u64, kind: RecordKind, bytes: Vec<u8>) -> anyhow::Result<Logged> {
        if kind == RecordKind::Frame {
            let frame = Frame::decode(bytes.into());
            return Ok(Logged::Frame(frame.with_context(|| {
                format!("record {number} of the log is no frame")
            })?));
        }
        let note = Note::decode(&bytes).map_err(anyhow::Error::msg);
        Ok(Logged::Note(note.with_context(|| {
            format!("record {number} of the log cannot be read")
        })?))
    }
}

fn replay_all(
    replica: &mut Replica,
    records: &[(u64, Logged)],
    table: &dyn Table,
) -> anyhow::Result<()> {
    let frames = records.iter().filter_map(|(_, logged)| match logged {
        Logged::Frame(frame) => Some(frame),
        Logged::Note(_) => None,
    });
    let missing = replica.missing_of(frames);
    load(replica, missing, table)?;
    for (number, logged) in records {
        match logged {
            Logged::Frame(frame) => replay_frame(replica, *number, frame, table)?,
            Logged::Note(note) => replica.replay_note(*number, note),
        }
    }
    Ok(())
}

/// Replays a frame; what it still lacks is read first.
fn replay_frame(
    replica: &mut Replica,
    number: u64,
    frame: &Frame,
    table: &dyn Table,
) -> anyhow::Result<()> {
    loop {
        match replica.replay(number, frame, wall_ms()) {
            Err(ReplayError::NotResident) => {}
            replayed => return Ok(replayed?),
        }
        let missing = replica.awaited().to_vec();
        load(replica, missing, table)?;
    }
}

/// Brings rows into memory.
fn load(replica: &mut Replica, missing: Vec<Missing>, table: &dyn Table) -> anyhow::Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let share = missing.len().div_ceil(cores).max(ROWS_PER_THREAD);
    let (mut shares, mut missing) = (Vec::new(), missing.into_iter().peekable());
    while missing.peek().is_some() {
        shares.push(missing.by_ref().take(share).collect::<Vec<_>>());
    }
    let last = shares.pop().unwrap_or_default();
    let loaded = std::thread::scope(|scope| {
        let threads: Vec<_> = shares
            .into_iter()
            .map(|share| scope.spawn(|| read(share, table)))
            .collect();
        let last = read(last, table);
        let ended = |thread: std::thread::ScopedJoinHandle<'_, _>| {
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        let mut loaded: Vec<anyhow::Result<Vec<Loaded>>> = threads.into_iter().map(ended).collect();
        loaded.push(last);
        loaded
    });
    for loaded in loaded {
        for loaded in loaded? {
            let admitted = replica.admit(loaded, wall_ms());
            _ = admitted.map_err(TableLost::unless_newer)?;
        }
    }
    Ok(())
}

fn read(missing: Vec<Missing>, table: &dyn Table) -> anyhow::Result<Vec<Loaded>> {
    // Whether the table is damaged or the disk cannot be read just now, only the error itself says.
    let failed = RefCell::new(None);
    let get = &mut |key: &[u8]| {
        table.get(key).map_err(|error| {
            let text = error.to_string();
            failed.replace(Some(error));
            text
        })
    };
    let scan: &mut ScanTable<'_> = &mut |prefix, each| {
        if let Err(error) = scan_prefix(table, prefix, each) {
            failed.replace(Some(error));
        }
    };
    let loaded = missing.into_iter().map(|missing| missing.load(get, scan));
    let loaded = loaded.collect();
    match failed.into_inner() {
        Some(error) => Err(TableLost::if_damaged(error)),
        None => Ok(loaded),
    }
}
