//! A replica with its log and its table, without threads: what a node does between its lock and its disk, stage by
//! stage, so that a crash can fall between any two of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use isles_clock::{Dot, ReplicaId, VectorClock};
use isles_replica::frame::OpenFrame;
use isles_replica::history::History;
use isles_replica::image::{Images, Meta, ScanTable, TableChange};
use isles_replica::inspect::KeyContent;
use isles_replica::session::Exchange;
use isles_replica::{
    Frame, Listing, Loaded, Missing, Note, Position, ReplayError, Replica, ReplicaConfig, Restored,
    Unlogged, UnloggedContent,
};
use isles_store::{
    Batch, Log, LogConfig, LogError, MemoryStorage, MemoryTable, RecordKind, RecordNumber, Table,
};

use crate::cold;
use crate::mutant::Mutant;
use crate::options::Policy;
use crate::plant::{self, Undone};

/// The disks of a node.
#[derive(Clone, Default)]
pub struct Disks {
    /// Where the log lies.
    pub log: MemoryStorage,
    /// The table.
    pub table: MemoryTable,
}

impl Disks {
    /// An independent copy.
    pub fn fork(&self) -> Disks {
        Disks {
            log: self.log.fork(),
            table: self.table.fork(),
        }
    }
}

/// How a process starts.
#[derive(Clone, Debug)]
pub struct Start {
    /// When a write is durable.
    pub policy: Policy,
    /// The boot of the machine.
    pub boot: String,
    /// Of this start alone.
    pub nonce: u64,
    /// The id to take if the old one must not be used again.
    pub fresh_id: ReplicaId,
    /// How the replica is set up.
    pub config: ReplicaConfig,
    /// Size of log segments.
    pub segment_bytes: u64,
    /// Size of the ring of recent frames.
    pub history_bytes: usize,
    /// Rows leave memory before the log is replayed; chosen by this.
    pub evict_seed: Option<u64>,
    /// A planted bug.
    pub mutant: Option<Mutant>,
}

/// A running process, as far as its data goes.
pub struct Engine {
    /// The state machine.
    pub replica: Replica,
    /// What its sessions share.
    pub exchange: Exchange,
    /// The recent frames.
    pub history: History,
    log: Log,
    table: MemoryTable,
    start: Start,
    /// The chain of the last own frame that was sealed.
    chain: u64,
    stage: Stage,
    checkpoint: Checkpoint,
    checkpoints: u64,
    /// Every frame in the log: its record, and its last entry.
    index: Vec<(u64, Dot)>,
    /// What entries did and undid, where a planted bug logs that.
    pub undone: Undone,
}

/// What lies between memory and disk.
#[derive(Debug, Default)]
enum Stage {
    #[default]
    Empty,
    Appended(Cycle),
    Written(Cycle),
}

/// What one cycle of the log brings to the disk.
#[derive(Debug)]
struct Cycle {
    last: u64,
    frames: Vec<(u64, Frame)>,
}

#[derive(Debug, Default)]
enum Checkpoint {
    #[default]
    Idle,
    Taking {
        restored: Restored,
        left: usize,
    },
    Holding {
        restored: Restored,
        left: usize,
        images: Images,
    },
    Moving {
        restored: Restored,
    },
}

/// What sealing shows to whoever watches.
#[derive(Debug, Default)]
pub struct Sealed {
    /// The frames appended, in log order, as they should be.
    pub frames: Vec<Frame>,
    /// The own ones among them, as they were logged: not the same where a bug is planted.
    pub as_logged: Vec<Frame>,
}

impl Engine {
    /// Recovers what the disks hold and starts to write.
    ///
    /// # Errors
    /// What a node would print before it ends.
    pub fn open(disks: &Disks, start: Start, wall_ms: u64) -> Result<Engine, String> {
        let config = LogConfig::new("sim").with_segment_bytes(start.segment_bytes);
        let (log, recovered) =
            Log::open(Arc::new(disks.log.clone()), config).map_err(|error| error.to_string())?;
        let meta = stored_meta(&disks.table)?;
        let from = meta.as_ref().map_or(0, |meta| meta.record) + 1;
        if from < recovered.first.0 || from > recovered.last.0 + 1 {
            let RecordNumber(last) = recovered.last;
            return Err(format!(
                "the table stands before record {from}, the log ends at {last}"
            ));
        }
        let writer = last_writer(&log, meta.as_ref())?;
        let loss = recovered.cut.is_some() || writer.may_have_lost(&start);
        let id = match writer.replica {
            Some(id) if !loss || start.mutant == Some(Mutant::KeepIdAfterLoss) => id,
            _ => start.fresh_id,
        };
        let mut replica = Replica::new(id, start.config);
        if let Some(meta) = &meta {
            replica.restore(&meta.restored());
        }
        load(&mut replica, &disks.table, &start, wall_ms)?;
        if let Some(seed) = start.evict_seed {
            cold::evict_at_start(&mut replica, seed, wall_ms)?;
        }
        let index = replay(&mut replica, &log, &disks.table, from, wall_ms)?;
        if start.mutant == Some(Mutant::UnknownIsAbsent) {
            replica.deny_cold();
        }
        let history = History::new(
            id,
            replica.durable_record(),
            replica.durable().clone(),
            start.history_bytes,
        );
        replica.log_note(Note::Start {
            boot: start.boot.clone(),
            nonce: start.nonce,
            replica: id,
        });
        let mut engine = Engine {
            chain: replica.delivery().previous_chain(id),
            checkpoints: meta.as_ref().map_or(0, |meta| meta.checkpoint),
            replica,
            exchange: Exchange::default(),
            history,
            log,
            table: disks.table.clone(),
            start,
            stage: Stage::Empty,
            checkpoint: Checkpoint::Idle,
            index,
            undone: Undone::new(),
        };
        engine.set_log_floor();
        engine
            .log_start(wall_ms)
            .map_err(|error| error.to_string())?;
        Ok(engine)
    }

    /// Under every policy the start is on the disk before anything else happens: if the log could lose it, the next
    /// start would take the stop before it for the end, and use its dots again.
    fn log_start(&mut self, wall_ms: u64) -> Result<(), LogError> {
        if self.start.mutant == Some(Mutant::StartNotSynced) {
            return Ok(());
        }
        self.seal(wall_ms);
        self.write()?;
        self.log.sync()?;
        self.sync()?;
        Ok(())
    }

    /// The place through which the log is durable.
    pub fn durable(&self) -> Position {
        Position::end_of(self.replica.durable_record())
    }

    /// Closes the open frame, applies the remote frames whose time has come, seals and appends. Nothing happens while
    /// an earlier cycle is on its way to the disk.
    pub fn seal(&mut self, wall_ms: u64) -> Option<Sealed> {
        if !matches!(self.stage, Stage::Empty) {
            return None;
        }
        let mut taken = self.replica.take_unlogged();
        if self.replica.apply_ready(wall_ms) > 0 {
            taken.extend(self.replica.take_unlogged());
        }
        drop(self.replica.take_garbage());
        let last = taken.last()?.number;
        let (mut sealed, mut frames) = (Sealed::default(), Vec::new());
        for unlogged in taken {
            self.append(unlogged, &mut sealed, &mut frames);
        }
        if self.start.mutant == Some(Mutant::SendBeforeDurable) {
            frames
                .iter()
                .for_each(|(number, frame)| self.history.push(*number, frame.clone()));
        }
        self.stage = Stage::Appended(Cycle { last, frames });
        Some(sealed)
    }

    fn append(&mut self, unlogged: Unlogged, sealed: &mut Sealed, frames: &mut Vec<(u64, Frame)>) {
        let frame = match unlogged.content {
            UnloggedContent::Note(note) => {
                self.log.append(kind_of(&note), &note.encode());
                return;
            }
            UnloggedContent::Remote(frame) => frame,
            UnloggedContent::Own(open) => {
                sealed.frames.push(open.seal(self.chain));
                let frame = self.misled(open).seal(self.chain);
                self.chain = frame.chain();
                sealed.as_logged.push(frame.clone());
                self.log_frame(unlogged.number, frame, frames);
                return;
            }
        };
        sealed.frames.push(frame.clone());
        self.log_frame(unlogged.number, frame, frames);
    }

    fn log_frame(&mut self, number: u64, frame: Frame, frames: &mut Vec<(u64, Frame)>) {
        self.log.append(RecordKind::Frame, frame.bytes());
        self.index.push((number, frame.last_dot()));
        frames.push((number, frame));
    }

    /// An own frame as a planted bug would write it.
    fn misled(&self, mut open: OpenFrame) -> OpenFrame {
        match self.start.mutant {
            Some(Mutant::DepsAtSeal) => {
                let mut deps = self.replica.applied().clone();
                deps.remove(self.replica.id());
                open.header.deps = deps;
            }
            Some(Mutant::NoNetEffect) => plant::log_by_command(&mut open, &self.undone),
            Some(Mutant::ForgetOtherRule) => plant::log_removals_of_one_rule(&mut open),
            _ => {}
        }
        open
    }

    /// Writes what was appended. Says whether something became durable.
    ///
    /// # Errors
    /// The log takes no more writes; the process ends.
    pub fn write(&mut self) -> Result<bool, LogError> {
        match std::mem::take(&mut self.stage) {
            Stage::Appended(cycle) => {
                self.log.write()?;
                if self.start.policy == Policy::Always {
                    self.stage = Stage::Written(cycle);
                    return Ok(false);
                }
                self.publish(cycle);
                Ok(true)
            }
            other => {
                self.stage = other;
                Ok(false)
            }
        }
    }

    /// Syncs what was written, unless the policy says never. Says whether something became durable.
    ///
    /// # Errors
    /// The log takes no more writes; the process ends.
    pub fn sync(&mut self) -> Result<bool, LogError> {
        if self.start.policy != Policy::Never {
            self.log.sync()?;
        }
        match std::mem::take(&mut self.stage) {
            Stage::Written(cycle) => {
                self.publish(cycle);
                Ok(true)
            }
            other => {
                self.stage = other;
                Ok(false)
            }
        }
    }

    fn publish(&mut self, cycle: Cycle) {
        let frames = cycle.frames.iter().map(|(_, frame)| frame);
        self.replica.note_durable(cycle.last, frames);
        if self.start.mutant != Some(Mutant::SendBeforeDurable) {
            cycle
                .frames
                .into_iter()
                .for_each(|(number, frame)| self.history.push(number, frame));
        }
    }

    /// Ends in order, when everything else is durable: a note says so, and everything is synced.
    ///
    /// # Errors
    /// The log takes no more writes; the process ends anyhow.
    pub fn finish(&mut self, wall_ms: u64) -> Result<(), LogError> {
        if self.replica.has_unlogged() || !matches!(self.stage, Stage::Empty) {
            return Ok(());
        }
        self.replica.log_note(Note::Stop);
        self.seal(wall_ms);
        self.write()?;
        self.log.sync()?;
        self.sync()?;
        Ok(())
    }

    /// Takes the checkpoint one stage further. `members` are the replicas that may still need what is in the log; none
    /// if it is not to be trimmed.
    ///
    /// # Errors
    /// The log takes no more writes; the process ends.
    pub fn checkpoint(
        &mut self,
        rows: usize,
        members: Option<&[ReplicaId]>,
    ) -> Result<(), LogError> {
        self.checkpoint = match std::mem::take(&mut self.checkpoint) {
            Checkpoint::Idle => {
                let (restored, left) = self.replica.begin_checkpoint();
                Checkpoint::Taking { restored, left }
            }
            Checkpoint::Taking { restored, left } => {
                let images = self.replica.take_images(rows);
                let left = left.saturating_sub(images.buckets().max(1));
                Checkpoint::Holding {
                    restored,
                    left,
                    images,
                }
            }
            Checkpoint::Holding {
                restored,
                left,
                images,
            } => {
                let early = self.start.mutant == Some(Mutant::TableAheadOfLog);
                if !early && self.durable() < images.position() {
                    self.checkpoint = Checkpoint::Holding {
                        restored,
                        left,
                        images,
                    };
                    return Ok(());
                }
                if !early {
                    // Under every policy: a row must not survive what its entries did not.
                    self.log.sync()?;
                }
                self.write_images(&images);
                self.replica.note_written(images.receipt());
                match left {
                    0 => Checkpoint::Moving { restored },
                    _ => Checkpoint::Taking { restored, left },
                }
            }
            Checkpoint::Moving { restored } => {
                self.move_checkpoint(&restored);
                if let Some(members) = members {
                    self.trim(restored.record, members)?;
                }
                Checkpoint::Idle
            }
        };
        Ok(())
    }

    fn write_images(&self, images: &Images) {
        let mut batch = Batch::new();
        images.encode(&mut |change| match change {
            TableChange::Put(key, value) => batch.put(key, value),
            TableChange::Delete(key) => batch.delete(key),
        });
        self.table
            .write(batch)
            .expect("invariant: a table in memory takes everything");
    }

    fn move_checkpoint(&mut self, restored: &Restored) {
        self.checkpoints += 1;
        let meta = Meta {
            replica: self.replica.id(),
            record: restored.record,
            applied: restored.applied.clone(),
            hlc: restored.hlc,
            chains: restored.chains.clone(),
            checkpoint: self.checkpoints,
            boot: self.start.boot.clone(),
            has_index: true,
        };
        let mut batch = Batch::new();
        batch.put(Meta::key(), meta.encode());
        self.table
            .write(batch)
            .expect("invariant: a table in memory takes everything");
        self.table
            .persist()
            .expect("invariant: a table in memory takes everything");
        let (checkpoint, record) = (self.checkpoints, restored.record);
        self.replica
            .log_note(Note::Checkpoint { checkpoint, record });
    }

    /// Drops the log before a record as far as all others hold it durably.
    fn trim(&mut self, record: u64, members: &[ReplicaId]) -> Result<(), LogError> {
        let applied = self.replica.applied().clone();
        let others: Vec<_> = members
            .iter()
            .copied()
            .filter(|member| *member != self.replica.id())
            .collect();
        let stability = self.exchange.acks_mut().stability(&others, &applied);
        let Some(stability) = stability else {
            return Ok(());
        };
        let needed = |dot: &Dot| stability.clock.get(dot.replica) < dot.sequence;
        let first_needed = self
            .index
            .iter()
            .find(|(_, dot)| needed(dot))
            .map(|found| found.0);
        self.replica.note_stable(stability.clock.clone());
        let before = first_needed.unwrap_or(record + 1).min(record + 1);
        self.log.trim(RecordNumber(before))?;
        let first = self.log.first().0;
        self.index.retain(|(number, _)| *number >= first);
        self.set_log_floor();
        Ok(())
    }

    /// Tells peers what the log no longer holds.
    fn set_log_floor(&mut self) {
        let first = self.log.first().0;
        let mut floor = VectorClock::new();
        for record in self.log.scan(RecordNumber(first)).flatten() {
            if let Some(frame) = frame_of(record.kind, record.bytes) {
                let known = floor.get(frame.replica());
                if known == 0 {
                    floor.set(frame.replica(), frame.first());
                }
            }
        }
        // Of a replica without a frame in the log everything has gone.
        for (replica, through) in self.replica.durable().iter() {
            if floor.get(replica) == 0 {
                floor.set(replica, through + 1);
            }
        }
        self.exchange
            .set_log_floor(floor.iter().filter(|(_, first)| *first > 1).collect());
    }

    /// The frames of the log on disk from a record on.
    pub fn frames_from(&self, record: u64) -> impl Iterator<Item = (u64, Frame)> + use<> {
        let durable = self.replica.durable_record();
        let scan = self.log.scan(RecordNumber(record.max(self.log.first().0)));
        scan.map_while(Result::ok)
            .take_while(move |record| record.number.0 <= durable)
            .filter_map(|record| Some((record.number.0, frame_of(record.kind, record.bytes)?)))
    }

    /// Everything live, by key, in memory and in the table.
    ///
    /// # Errors
    /// What is not in memory is not in the table either, or cannot be read.
    pub fn content(&self) -> Result<BTreeMap<Vec<u8>, KeyContent>, String> {
        let mut content = self.replica.content();
        let scan: &mut ScanTable<'_> = &mut |prefix, each| cold::scan(&self.table, prefix, each);
        content.append(&mut self.replica.cold_content(scan)?);
        Ok(content)
    }

    /// Reads a key from the table.
    pub fn load(&self, missing: Missing) -> Loaded {
        cold::load(&self.table, missing)
    }

    /// Brings keys into memory whose deadline has passed.
    ///
    /// # Errors
    /// The table's copy of one is damaged.
    pub fn admit_due(&mut self, wall_ms: u64) -> Result<(), String> {
        let keys = cold::due(&self.table, self.replica.latest().wall_ms().max(wall_ms));
        for missing in self.replica.missing(keys.iter().map(Vec::as_slice)) {
            let admitted = self.replica.admit(self.load(missing), wall_ms);
            _ = admitted.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// All keys that only the table has.
    pub fn listing(&self) -> Listing {
        let unlisted = self.replica.unlisted(0, usize::MAX, &Listing::default());
        let scan: &mut ScanTable<'_> = &mut |prefix, each| cold::scan(&self.table, prefix, each);
        let listing = unlisted.list(&|_| true, scan);
        listing.expect("invariant: what was written is read")
    }

    /// Every key of which memory cannot say whether it is there.
    pub fn all_missing(&self) -> Vec<Missing> {
        cold::all_missing(&self.replica, &self.table)
    }

    /// The first record that the log still holds.
    pub fn log_first(&self) -> u64 {
        self.log.first().0
    }
}

/// Who wrote the log last, and whether in order.
#[derive(Debug, Default)]
struct Writer {
    replica: Option<ReplicaId>,
    boot: String,
    stopped: bool,
}

impl Writer {
    /// After a kill on a running machine everything written is still there; after anything else only what was synced.
    fn may_have_lost(&self, start: &Start) -> bool {
        start.policy != Policy::Always && !self.stopped && self.boot != start.boot
    }
}

fn last_writer(log: &Log, meta: Option<&Meta>) -> Result<Writer, String> {
    let mut writer = meta.map_or_else(Writer::default, |meta| Writer {
        replica: Some(meta.replica),
        boot: meta.boot.clone(),
        stopped: false,
    });
    for record in log.scan(log.first()) {
        let record = record.map_err(|error| error.to_string())?;
        writer.stopped = false;
        if record.kind == RecordKind::Start {
            match Note::decode(&record.bytes)? {
                Note::Start { boot, replica, .. } => {
                    writer = Writer {
                        replica: Some(replica),
                        boot,
                        stopped: false,
                    };
                }
                Note::Stop => writer.stopped = true,
                _ => {}
            }
        }
    }
    Ok(writer)
}

fn stored_meta(table: &MemoryTable) -> Result<Option<Meta>, String> {
    let stored = table.get(Meta::key()).map_err(|error| error.to_string())?;
    let meta = stored.map(|bytes| Meta::decode(&bytes)).transpose();
    meta.map_err(|error| error.to_string())
}

/// Where rows leave memory they are not there at first, and all at once they come where they do not.
fn load(
    replica: &mut Replica,
    table: &MemoryTable,
    start: &Start,
    wall_ms: u64,
) -> Result<(), String> {
    let scan: &mut ScanTable<'_> = &mut |prefix, each| cold::scan(table, prefix, each);
    let loaded = match start.evict_seed {
        Some(seed) if seed % 4 > 0 => replica.open_table(scan, wall_ms),
        _ => replica.load_table(scan, wall_ms),
    };
    loaded.map_err(|error| error.to_string())
}

/// Replays the log from a record on; returns the index of all its frames.
fn replay(
    replica: &mut Replica,
    log: &Log,
    table: &MemoryTable,
    from: u64,
    wall_ms: u64,
) -> Result<Vec<(u64, Dot)>, String> {
    let mut index = Vec::new();
    for record in log.scan(log.first()) {
        let record = record.map_err(|error| error.to_string())?;
        let number = record.number.0;
        let note = match record.kind {
            RecordKind::Frame => None,
            _ => Some(Note::decode(&record.bytes)?),
        };
        let frame = frame_of(record.kind, record.bytes);
        index.extend(frame.iter().map(|frame| (number, frame.last_dot())));
        if number < from {
            continue;
        }
        if let Some(frame) = frame {
            let mut replayed = replica.replay(number, &frame, wall_ms);
            while replayed == Err(ReplayError::NotResident) {
                for missing in replica.awaited().to_vec() {
                    let admitted = replica.admit(cold::load(table, missing), wall_ms);
                    _ = admitted.map_err(|error| error.to_string())?;
                }
                replayed = replica.replay(number, &frame, wall_ms);
            }
            replayed.map_err(|error| error.to_string())?;
        }
        if let Some(note) = note {
            replica.replay_note(number, &note);
        }
    }
    Ok(index)
}

fn frame_of(kind: RecordKind, bytes: Vec<u8>) -> Option<Frame> {
    match kind {
        RecordKind::Frame => {
            Some(Frame::decode(bytes.into()).expect("invariant: the log's own check has passed"))
        }
        _ => None,
    }
}

fn kind_of(note: &Note) -> RecordKind {
    match note {
        Note::Checkpoint { .. } => RecordKind::Checkpoint,
        _ => RecordKind::Start,
    }
}
