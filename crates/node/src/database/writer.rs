//! The log's writer: takes what is open, seals and writes it, syncs it by policy, and lets everyone know.
//!
//! A frame holds whatever arrived while the previous one was being written; there is no timer. Who takes a turn, and
//! when, is `log_turns`' business.

use std::sync::atomic::Ordering;
use std::time::Instant;

use isles_clock::{ReplicaId, VectorClock};
use isles_replica::frame::OpenFrame;
use isles_replica::{Frame, Note, Position, Unlogged, UnloggedContent};
use isles_store::{Log, LogError, LogReader, RecordKind, RecordNumber};
use metrics::{Counter, Gauge, Histogram};

use super::{Database, wall_ms};
use crate::config::Durability;

pub(super) struct Writer {
    log: Log,
    /// The chain of the last own frame.
    chain: u64,
    /// What the log holds, or has held.
    logged: VectorClock,
    meters: Meters,
}

struct Meters {
    sync_seconds: Histogram,
    frame_entries: Histogram,
    bytes: Gauge,
    frames: Counter,
}

impl Writer {
    pub(super) fn new(log: Log, chain: u64, logged: VectorClock) -> Self {
        Writer {
            log,
            chain,
            logged,
            meters: Meters {
                sync_seconds: metrics::histogram!("isles_log_sync_seconds"),
                frame_entries: metrics::histogram!("isles_frame_entries"),
                bytes: metrics::gauge!("isles_log_bytes"),
                frames: metrics::counter!("isles_log_frames_total"),
            },
        }
    }

    /// Takes, seals, writes and syncs once.
    pub(super) fn turn(&mut self, database: &Database) -> Result<(), LogError> {
        let taken = self.take(database);
        let Some(last) = taken.last().map(|unlogged| unlogged.number) else {
            return Ok(());
        };
        // A restart must know of this start, whatever the policy: else it would take the last clean stop for the end,
        // keep the replica's id, and use dots again that others have seen.
        let begins = taken.iter().any(is_start);
        let mut frames = Vec::with_capacity(taken.len());
        let mut bodies = Vec::new();
        for unlogged in taken {
            self.append(unlogged, &mut frames, &mut bodies);
        }
        let written = self.log.write()?;
        debug_assert_eq!(
            written,
            RecordNumber(last),
            "the replica numbers records as the log does"
        );
        if begins || database.durability == Durability::Always {
            let started = Instant::now();
            self.log.sync()?;
            self.meters.sync_seconds.record(started.elapsed());
        }
        self.publish(database, last, frames, bodies);
        Ok(())
    }

    /// Closes the open frame, then applies the remote frames whose time has come: they never close a frame that would
    /// have stayed open.
    fn take(&self, database: &Database) -> Vec<Unlogged> {
        let mut state = database.lock();
        let replica = &mut state.replica;
        let mut taken = replica.take_unlogged();
        if replica.apply_ready(wall_ms()) > 0 {
            taken.extend(replica.take_unlogged());
            // There may be more: the next turn looks again.
            database.ring_log();
        }
        let bytes = replica.undurable_bytes() as u64;
        database.undurable_bytes.store(bytes, Ordering::Relaxed);
        if replica.has_changed_keys() {
            database.changed_keys_bell.notify_one();
        }
        let wants_rows = !replica.awaited().is_empty();
        let garbage = replica.take_garbage();
        drop(state);
        if wants_rows {
            database.memory.ring();
        }
        database.reaper.reap(garbage);
        taken
    }

    fn append(
        &mut self,
        unlogged: Unlogged,
        frames: &mut Vec<(u64, Frame)>,
        bodies: &mut Vec<Vec<u8>>,
    ) {
        let number = unlogged.number;
        let frame = match unlogged.content {
            UnloggedContent::Own(open) => self.seal(open, bodies),
            UnloggedContent::Remote(frame) => frame,
            UnloggedContent::Note(note) => {
                let bytes = note.encode();
                self.annotate(bytes.len());
                self.log.append(kind_of(&note), &bytes);
                return;
            }
        };
        self.annotate(frame.bytes().len());
        self.log.append(RecordKind::Frame, frame.bytes());
        self.logged.observe(frame.last_dot());
        frames.push((number, frame));
    }

    /// A segment says what comes before it: so one knows who still needs the segment before.
    fn annotate(&mut self, payload_bytes: usize) {
        if self.log.starts_segment(payload_bytes) {
            self.log.annotate(&note_of(&self.logged));
        }
    }

    fn seal(&mut self, open: OpenFrame, bodies: &mut Vec<Vec<u8>>) -> Frame {
        let frame = open.seal(self.chain);
        self.chain = frame.chain();
        self.meters.frames.increment(1);
        self.meters
            .frame_entries
            .record(f64::from(frame.header().count));
        bodies.push(open.body);
        frame
    }

    fn publish(
        &self,
        database: &Database,
        last: u64,
        frames: Vec<(u64, Frame)>,
        bodies: Vec<Vec<u8>>,
    ) {
        {
            let replica = &mut database.lock().replica;
            replica.note_durable(last, frames.iter().map(|(_, frame)| frame));
            bodies.into_iter().for_each(|body| replica.recycle(body));
            let bytes = replica.undurable_bytes() as u64;
            database.undurable_bytes.store(bytes, Ordering::Relaxed);
        }
        let bytes: u64 = frames
            .iter()
            .map(|(_, frame)| frame.bytes().len() as u64)
            .sum();
        database.written_bytes.fetch_add(bytes, Ordering::Relaxed);
        let entries = frames
            .iter()
            .map(|(_, frame)| u64::from(frame.header().count));
        let entries = entries.sum();
        database
            .written_entries
            .fetch_add(entries, Ordering::Relaxed);
        self.meters.bytes.set(self.log.bytes() as f64);
        {
            let mut history = database.history.lock();
            frames
                .into_iter()
                .for_each(|(number, frame)| history.push(number, frame));
        }
        let durable = Position::end_of(last);
        database.durable.store(durable.as_u64(), Ordering::Release);
        database.progress.send_replace(last);
    }

    /// Drops segments that hold only records before `before`.
    pub(super) fn trim(
        &mut self,
        database: &Database,
        before: RecordNumber,
    ) -> Result<(), LogError> {
        self.log.trim(before)?;
        let floor = floor_of(&self.log.reader());
        database.lock().exchange.set_log_floor(floor);
        Ok(())
    }

    /// The last record: everything before it was written in order.
    pub(super) fn finish(&mut self, database: &Database) -> Result<(), LogError> {
        database.lock().replica.log_note(Note::Stop);
        self.turn(database)?;
        self.log.sync()?;
        Ok(())
    }
}

fn is_start(unlogged: &Unlogged) -> bool {
    matches!(unlogged.content, UnloggedContent::Note(Note::Start { .. }))
}

/// What a segment's header says of the log before it.
pub(crate) fn note_of(logged: &VectorClock) -> Vec<u8> {
    postcard::to_allocvec(logged).expect("a clock holds nothing that cannot be encoded")
}

/// Reads what [`note_of`] wrote; the first segment has no note, and nothing before it.
pub(crate) fn clock_of(note: &[u8]) -> VectorClock {
    postcard::from_bytes(note).unwrap_or_default()
}

/// Per replica, the first sequence that the log still holds.
pub(super) fn floor_of(log: &LogReader) -> Vec<(ReplicaId, u64)> {
    let before = log
        .segments()
        .first()
        .map(|segment| clock_of(&segment.note))
        .unwrap_or_default();
    before
        .iter()
        .map(|(replica, sequence)| (replica, sequence + 1))
        .collect()
}

/// How a note is recorded; the bytes say the rest.
pub(super) fn kind_of(note: &Note) -> RecordKind {
    match note {
        Note::Checkpoint { .. } => RecordKind::Checkpoint,
        _ => RecordKind::Start,
    }
}
