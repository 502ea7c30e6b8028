//! The state machine: what is applied, what waits to be logged, and how both come about.

mod change;
mod replay;

use std::collections::{BTreeMap, HashMap, VecDeque};

use isles_clock::{Context, Dot, Hlc, HybridClock, ReplicaId, VectorClock};
use isles_transport::ChainLink;
use smallvec::SmallVec;

pub use self::replay::ReplayError;
use crate::apply::Author;
use crate::changes::Changes;
use crate::cold::{Missing, all_known};
use crate::conflict::{Origin, Settled, Settling};
use crate::delivery::{Delivery, DeliveryLimits, Lane, Offer};
use crate::frame::{FRAME_BYTES, FRAME_ENTRIES_MAX, Frame, FrameError, FrameHeader, OpenFrame};
use crate::garbage::Garbage;
use crate::hyll::SPARSE_BYTES_MAX_DEFAULT;
use crate::journal::{Journal, JournalLimits};
use crate::keyspace::Keyspaces;
use crate::libraries::Libraries;
use crate::note::Note;
use crate::observer::{News, Watch};
use crate::op::{Attribute, Entry};
use crate::position::Position;
use crate::resolvers::Resolvers;
use crate::row::Component;
use crate::rows::{Rows, hash_of};
use crate::waiting::Waiting;
use crate::warm::{WARM_MAX, WARM_MIN, Wanted};

/// Entries applied in one hold of the lock, about 100 µs' worth.
pub const APPLY_ENTRIES: usize = 256;
/// Bodies of sealed frames that are kept for reuse.
const SPARE_BODIES: usize = 4;

/// How a replica is set up.
#[derive(Clone, Copy, Debug)]
pub struct ReplicaConfig {
    /// How far the hybrid clock follows a remote stamp ahead of wall time, in milliseconds.
    pub max_skew_ms: u64,
    /// How many conflicts the journal keeps.
    pub journal: JournalLimits,
    /// How many siblings a key may have here after a write that names an older context; such a write above it is refused.
    pub siblings_max: usize,
}

/// Siblings of a key unless configured otherwise.
pub const SIBLINGS_MAX_DEFAULT: usize = 100;

impl Default for ReplicaConfig {
    fn default() -> Self {
        ReplicaConfig {
            max_skew_ms: 1_000,
            journal: JournalLimits::default(),
            siblings_max: SIBLINGS_MAX_DEFAULT,
        }
    }
}

/// What has yet to be logged, in log order.
#[derive(Debug)]
pub struct Unlogged {
    /// The number of its record in the log, from one.
    pub number: u64,
    /// What is to be logged.
    pub content: UnloggedContent,
    /// Stamp of the last own entry in it.
    last: Hlc,
}

/// An own frame, yet to be sealed, or somebody else's.
#[derive(Debug)]
pub enum UnloggedContent {
    /// Own entries; the log's writer seals them with the chain of the previous own frame.
    Own(OpenFrame),
    /// A frame of another replica, logged verbatim.
    Remote(Frame),
    /// A record that is no frame and is never sent.
    Note(Note),
}

/// What a replica must tell before it can be rebuilt: see [`Replica::restore`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Everything up to the record with this number is included in the rows.
    pub record: u64,
    /// What had been applied then.
    pub applied: VectorClock,
    /// The greatest stamp seen then.
    pub hlc: Hlc,
    /// The links of the last frame of each replica then.
    pub chains: Vec<ChainLink>,
}

/// One replica's state: a plain state machine without IO, threads or clocks of its own.
///
/// # Calling contract
/// - *Write*: [`txn`](Self::txn), commands on it, [`Txn::commit`](crate::Txn::commit) → a position; the answer may
///   leave once the log is durable through it.
/// - *Log*: [`take_unlogged`](Self::take_unlogged) for the log's writer; outside the lock seal own frames, append all in
///   order, write, sync; then [`note_durable`](Self::note_durable) with the frames as they were logged.
/// - *Receive*: [`offer`](Self::offer) frames of peers, then [`apply_ready`](Self::apply_ready) until it returns zero:
///   right after `take_unlogged`, and at once when [`is_open`](Self::is_open) is false.
/// - *Checkpoint*: [`begin_checkpoint`](Self::begin_checkpoint), [`take_images`](Self::take_images) until empty, each
///   batch written once the log is durable through its position.
/// - *Memory*: [`note_written`](Self::note_written) when images are in the table, then [`evict`](Self::evict). What has left comes
///   back by [`missing`](Self::missing), [`Missing::load`] and [`admit`](Self::admit); see [`cold`](crate::cold).
/// - *Free*: [`take_garbage`](Self::take_garbage) before the lock is let go, to drop it afterwards.
#[derive(Debug)]
pub struct Replica {
    id: ReplicaId,
    pub(crate) config: ReplicaConfig,
    clock: HybridClock,
    applied: VectorClock,
    pub(crate) rows: Rows,
    open: Option<OpenFrame>,
    open_last: Hlc,
    next_record: u64,
    unlogged: Vec<Unlogged>,
    unlogged_bytes: usize,
    in_flight: VecDeque<InFlight>,
    durable: VectorClock,
    /// What came out of the table at start-up: each of it may have changed any bucket.
    loaded: VectorClock,
    durable_record: u64,
    promise: Hlc,
    /// The greatest [`as_of`](Self::as_of) so far.
    as_of: Hlc,
    /// What every region is known to have.
    pub(crate) stable: VectorClock,
    delivery: Delivery,
    /// The links of each replica's last durable frame.
    chains: BTreeMap<ReplicaId, ChainLink>,
    pub(crate) journal: Journal,
    pub(crate) keyspaces: Keyspaces,
    pub(crate) libraries: Libraries,
    pub(crate) resolvers: Resolvers,
    spare_bodies: Vec<Vec<u8>>,
    newest: HashMap<ReplicaId, Hlc>,
    pub(crate) watch: Watch,
    pub(crate) news: Option<News>,
    pub(crate) waiting: Waiting,
    /// Boxed, since it is nearly always absent.
    pub(crate) changes: Option<Box<Changes>>,
    /// Keys whose deadline passes are neither counted nor told of.
    expiries_held: bool,
    /// A HyperLogLog is shown in Redis's sparse form if that takes no more bytes.
    pub(crate) sparse_bytes_max: usize,
    pub(crate) garbage: Garbage,
    /// Images of rows that were taken and are not in the table yet.
    pub(crate) unwritten: u64,
    /// Unknown keys of the last transaction that was refused for them.
    pub(crate) missing: Vec<Missing>,
    /// Unknown keys of frames that are ready.
    pub(crate) awaited: Vec<Missing>,
}

/// Keys that a command finds expired at most, so that a million which expire at once stop nobody. Those that are left
/// are found by the commands after it, and by whoever looks in between.
const EXPIRED_PER_STAMP: usize = 64;

/// A frame that was handed to the log.
#[derive(Clone, Copy, Debug)]
struct InFlight {
    number: u64,
    last: Dot,
    bytes: usize,
    hlc: Hlc,
}

/// What the author of a remote entry had applied: its frame's deps, and its own earlier entries.
struct FrameContext<'f> {
    deps: &'f VectorClock,
    dot: Dot,
}

impl Context for FrameContext<'_> {
    #[inline]
    fn covers(&self, dot: Dot) -> bool {
        match dot.replica == self.dot.replica {
            true => dot.sequence < self.dot.sequence,
            false => self.deps.covers(dot),
        }
    }
}

impl Replica {
    /// An empty replica.
    pub fn new(id: ReplicaId, config: ReplicaConfig) -> Self {
        Replica {
            id,
            config,
            clock: HybridClock::new(Hlc::ZERO, config.max_skew_ms),
            applied: VectorClock::new(),
            rows: Rows::new(),
            open: None,
            open_last: Hlc::ZERO,
            next_record: 1,
            unlogged: Vec::new(),
            unlogged_bytes: 0,
            in_flight: VecDeque::new(),
            durable: VectorClock::new(),
            loaded: VectorClock::new(),
            durable_record: 0,
            promise: Hlc::ZERO,
            as_of: Hlc::ZERO,
            stable: VectorClock::new(),
            delivery: Delivery::new(id, DeliveryLimits::default()),
            chains: BTreeMap::new(),
            journal: Journal::new(config.journal),
            keyspaces: Keyspaces::default(),
            libraries: Libraries::default(),
            resolvers: Resolvers::default(),
            spare_bodies: Vec::new(),
            newest: HashMap::new(),
            watch: Watch::default(),
            news: None,
            waiting: Waiting::default(),
            changes: None,
            expiries_held: false,
            sparse_bytes_max: SPARSE_BYTES_MAX_DEFAULT,
            garbage: Garbage::default(),
            unwritten: 0,
            missing: Vec::new(),
            awaited: Vec::new(),
        }
    }

    /// Sets an empty replica to where a checkpoint was; rows are loaded and frames replayed after it.
    pub fn restore(&mut self, restored: &Restored) {
        self.applied = restored.applied.clone();
        self.durable = restored.applied.clone();
        self.loaded = restored.applied.clone();
        self.durable_record = restored.record;
        self.next_record = restored.record + 1;
        self.clock = HybridClock::new(restored.hlc, self.config.max_skew_ms);
        for link in &restored.chains {
            self.delivery.restore(*link);
            self.chains.insert(link.replica, *link);
        }
    }

    /// The link of each replica's last durable frame.
    pub fn chains(&self) -> impl Iterator<Item = ChainLink> {
        self.chains.values().copied()
    }

    fn note_link(&mut self, frame: &Frame) {
        let link = ChainLink {
            replica: frame.replica(),
            sequence: frame.last(),
            chain: frame.chain(),
        };
        self.chains.insert(link.replica, link);
    }

    /// This replica's identity.
    pub fn id(&self) -> ReplicaId {
        self.id
    }

    /// Everything applied, own entries included.
    pub fn applied(&self) -> &VectorClock {
        &self.applied
    }

    /// Everything applied and durable in the log here.
    pub fn durable(&self) -> &VectorClock {
        &self.durable
    }

    /// The number of the last durable record.
    pub fn durable_record(&self) -> u64 {
        self.durable_record
    }

    /// The place of the newest applied entry.
    pub fn position(&self) -> Position {
        match &self.open {
            Some(open) => Position::of_entry(self.next_record, open.header.count.saturating_sub(1)),
            None => Position::end_of(self.next_record - 1),
        }
    }

    /// No own entry with a smaller stamp than this will appear any more.
    ///
    /// It is the stamp of the newest own entry that is durable, and so holds across every restart.
    pub fn promise(&self) -> Hlc {
        self.promise
    }

    /// All own entries with this stamp or a smaller one are durable, and no more will be written as long as this process
    /// lives. Unlike the [`promise`](Self::promise) it goes on while nothing is written. It never falls.
    pub fn as_of(&mut self, wall_ms: u64) -> Hlc {
        let all_durable = self.durable.get(self.id) == self.applied.get(self.id);
        self.as_of = match all_durable {
            true => self.clock.now(wall_ms),
            false => self.as_of.max(self.promise),
        };
        self.as_of
    }

    /// The greatest stamp seen.
    pub fn latest(&self) -> Hlc {
        self.clock.latest()
    }

    /// The stamp of the newest entry of `replica` applied here since start.
    pub fn newest_of(&self, replica: ReplicaId) -> Option<Hlc> {
        self.newest.get(&replica).copied()
    }

    /// Sum of the hashes of all content: replicas with equal applied clocks have equal sums.
    pub fn digest(&self) -> u128 {
        self.rows.sum()
    }

    /// The sum of one bucket, and the clock of what changed it last.
    pub fn bucket_sum(&self, bucket: u16) -> (u128, VectorClock) {
        let (sum, mut changed) = self.rows.bucket_sum(usize::from(bucket));
        changed.merge(&self.loaded);
        (sum, changed)
    }

    /// The keys of one bucket with what each adds to its sum, for finding where replicas differ; those of them that are
    /// in memory.
    pub fn bucket_keys(&self, bucket: u16) -> impl Iterator<Item = (Box<[u8]>, u128)> {
        self.rows
            .bucket(usize::from(bucket))
            .filter(|(_, row)| !row.is_gone())
            .map(|(_, row)| (row.key.clone(), row.sum))
    }

    /// The newest conflicts.
    pub fn conflicts(&self) -> &Journal {
        &self.journal
    }

    /// Which node writes under a replica id, for what is recorded of conflicts from here on.
    pub fn note_origin(&mut self, replica: ReplicaId, origin: Origin) {
        self.journal.note_origin(replica, origin);
    }

    /// Forgets conflicts that are older than the journal keeps them; whenever conflicts are detected that happens by itself.
    pub fn trim_journal(&mut self, wall_ms: u64) {
        self.journal.advance(wall_ms);
    }

    /// Takes note of what every other region is known to have, by acks that [count](crate::session::Acks::stability): no
    /// write that is yet to arrive can be concurrent to it, so that the next checkpoint need not keep what only such writes
    /// ask for.
    pub fn note_stable(&mut self, stable: VectorClock) {
        self.stable = stable;
    }

    /// Number of keys that readers see.
    pub fn visible_keys(&self) -> usize {
        self.rows.visible()
    }

    /// Number of keys that will expire.
    pub fn expiring_keys(&self) -> usize {
        self.rows.expiring()
    }

    /// Number of keys whose deadline has passed here since start.
    pub fn expired_total(&self) -> u64 {
        self.rows.expired_total()
    }

    /// Number of rows in memory, tombstones and hidden keys included.
    pub fn rows_len(&self) -> usize {
        self.rows.len()
    }

    /// When the next key expires, in milliseconds since 1970.
    pub fn next_deadline(&self) -> Option<u64> {
        self.rows.next_deadline()
    }

    /// A number that changes whenever what readers see of a key may have changed. It also changes when the key leaves
    /// memory or comes back, so whoever compares it has the key in memory both times.
    pub fn version(&mut self, key: &[u8], wall_ms: u64) -> u64 {
        let now_ms = self.clock.latest().wall_ms().max(wall_ms);
        let hash = hash_of(key);
        let Some(row) = self.rows.look(key, hash) else {
            return self.version_of_unknown(key, hash);
        };
        let changed = match &row.components[..] {
            [Component::Set(set)] => set.changed,
            [Component::SetRw(set)] => set.changed,
            [Component::Set(one), Component::SetRw(other)] => one.changed.max(other.changed),
            _ => row.position,
        };
        changed.as_u64() << 1 | u64::from(row.is_visible(now_ms))
    }

    /// Bytes of entries that are applied here and not yet durable.
    pub fn undurable_bytes(&self) -> usize {
        let open = self.open.as_ref().map_or(0, |open| open.body.len());
        open + self.unlogged_bytes
            + self
                .in_flight
                .iter()
                .map(|flight| flight.bytes)
                .sum::<usize>()
    }

    /// Whether own entries wait in the open frame.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Whether there is something for the log.
    pub fn has_unlogged(&self) -> bool {
        self.open.is_some() || !self.unlogged.is_empty()
    }

    /// Closes the open frame and hands over everything that is to be logged, in order.
    pub fn take_unlogged(&mut self) -> Vec<Unlogged> {
        self.close_open();
        self.log_detected();
        self.unlogged_bytes = 0;
        let taken = std::mem::take(&mut self.unlogged);
        for unlogged in &taken {
            let (last, bytes, hlc) = match &unlogged.content {
                UnloggedContent::Own(open) => {
                    (last_of(&open.header), open.body.len(), unlogged.last)
                }
                UnloggedContent::Remote(frame) => {
                    (frame.last_dot(), frame.bytes().len(), unlogged.last)
                }
                UnloggedContent::Note(_) => continue,
            };
            self.in_flight.push_back(InFlight {
                number: unlogged.number,
                last,
                bytes,
                hlc,
            });
        }
        taken
    }

    /// What was detected since the last time goes to the log, and to whoever is told of it: from then on it can no longer
    /// change. They are told first, while the journal still has all of it.
    fn log_detected(&mut self) {
        let Some(first) = self.journal.first_unlogged() else {
            return;
        };
        if let Some(news) = &mut self.news {
            let position = Position::end_of(self.next_record);
            news.tell(self.id, &self.journal, first, position);
        }
        if let Some(detected) = self.journal.end_batch() {
            self.log_note(Note::Detected(detected));
        }
    }

    /// Takes note that all frames up to `number` are durable: `frames` are those since the last call, as logged.
    pub fn note_durable<'f>(&mut self, number: u64, frames: impl IntoIterator<Item = &'f Frame>) {
        for frame in frames {
            self.note_link(frame);
            if frame.replica() == self.id {
                self.delivery.note_chain(frame);
            }
        }
        while let Some(flight) = self
            .in_flight
            .front()
            .copied()
            .filter(|flight| flight.number <= number)
        {
            self.in_flight.pop_front();
            self.durable.observe(flight.last);
            self.promise = self.promise.max(flight.hlc);
        }
        self.durable_record = self.durable_record.max(number);
    }

    /// Gives back the buffer of a sealed frame.
    pub fn recycle(&mut self, mut body: Vec<u8>) {
        if self.spare_bodies.len() < SPARE_BODIES && body.capacity() <= 4 * FRAME_BYTES {
            body.clear();
            self.spare_bodies.push(body);
        }
    }

    /// Takes a frame of another replica; it waits until everything before it is applied.
    ///
    /// # Errors
    /// The frame does not decode or holds what this version does not know: nothing of it is used.
    pub fn offer(&mut self, frame: Frame, lane: Lane) -> Result<Offer, FrameError> {
        if frame.first() > self.applied.get(frame.replica()) {
            frame.verify()?;
        }
        Ok(self.delivery.offer(frame, lane, &self.applied))
    }

    /// What waits for other frames.
    pub fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    /// The same, for sessions to discard and to ask.
    pub fn delivery_mut(&mut self) -> &mut Delivery {
        &mut self.delivery
    }

    /// Applies waiting frames whose time has come, if no own entry is open; returns how many.
    ///
    /// Stops after about [`APPLY_ENTRIES`] entries, so that the lock is not held long: call it again until it is zero. Frames
    /// that change rows which are not in memory go on waiting: see [`awaited`](Self::awaited).
    pub fn apply_ready(&mut self, wall_ms: u64) -> usize {
        let (mut frames, mut entries) = (0, 0);
        let mut held: SmallVec<[ReplicaId; 4]> = SmallVec::new();
        self.awaited.clear();
        self.journal.advance(wall_ms);
        while self.open.is_none() && entries < APPLY_ENTRIES {
            let (rows, awaited) = (&self.rows, &mut self.awaited);
            let may_apply = &mut |frame: &Frame| {
                let writer = frame.replica();
                let known = !held.contains(&writer) && all_known(rows, frame, awaited);
                if !known && !held.contains(&writer) {
                    held.push(writer);
                }
                known
            };
            let Some(frame) = self.delivery.next_ready_if(&self.applied, may_apply) else {
                break;
            };
            entries += frame.header().count as usize;
            frames += 1;
            self.apply_frame(&frame, wall_ms)
                .expect("a frame's content is checked when it is offered");
            self.delivery.note_chain(&frame);
            self.unlogged_bytes += frame.bytes().len();
            self.unlogged.push(Unlogged {
                number: self.next_record,
                content: UnloggedContent::Remote(frame),
                last: Hlc::ZERO,
            });
            self.next_record += 1;
        }
        if let Some(changes) = self.changes.as_mut().filter(|_| frames > 0) {
            changes.note_settled();
        }
        frames
    }

    fn apply_frame(&mut self, frame: &Frame, wall_ms: u64) -> Result<(), FrameError> {
        debug_assert!(
            self.open.is_none(),
            "a remote frame never joins an open one"
        );
        let mut entries = frame.entries();
        let mut sequence = frame.first();
        loop {
            let some: SmallVec<[Entry<'_>; WARM_MAX]> =
                entries.by_ref().take(WARM_MAX).collect::<Result<_, _>>()?;
            if some.is_empty() {
                return Ok(());
            }
            if some.len() >= WARM_MIN {
                self.warm(some.iter().filter_map(Wanted::of));
            }
            for entry in &some {
                self.apply_remote(frame, entry, sequence, wall_ms);
                sequence += 1;
            }
        }
    }

    fn apply_remote(&mut self, frame: &Frame, entry: &Entry<'_>, sequence: u64, wall_ms: u64) {
        let dot = Dot {
            replica: frame.replica(),
            sequence,
        };
        let hlc = Hlc::from_u64(
            frame
                .header()
                .base
                .as_u64()
                .saturating_add(entry.stamp_delta),
        );
        self.clock.observe(hlc, wall_ms);
        let now_ms = self.clock.latest().wall_ms().max(wall_ms);
        let index = (sequence - frame.first()) as u32;
        let position = Position::of_entry(self.next_record, index);
        self.apply_entry(entry, dot, hlc, &frame.header().deps, position, now_ms);
        self.applied.observe(dot);
        self.newest.insert(dot.replica, hlc);
    }

    fn apply_entry(
        &mut self,
        entry: &Entry<'_>,
        dot: Dot,
        hlc: Hlc,
        deps: &VectorClock,
        position: Position,
        now_ms: u64,
    ) {
        let explicit = entry
            .attributes
            .iter()
            .find_map(|attribute| match attribute {
                Attribute::Context(context) => Some(context),
                _ => None,
            });
        for op in &entry.ops {
            self.keyspaces.count_remote(op.key.0);
            match explicit {
                Some(context) => self.apply_op(op, &Author { dot, hlc, context }, position, now_ms),
                None => {
                    let context = &FrameContext { deps, dot };
                    self.apply_op(op, &Author { dot, hlc, context }, position, now_ms);
                }
            }
        }
        for attribute in &entry.attributes {
            if let Attribute::Resolves(id) = attribute {
                self.settle_explicitly(*id, dot, hlc, position);
            }
        }
    }

    /// An entry names this record of the journal as the one that it settles.
    pub(crate) fn settle_explicitly(&mut self, id: u128, dot: Dot, hlc: Hlc, position: Position) {
        let how = Settling::Explicit;
        self.journal
            .settle_explicitly(id, Settled { how, hlc, dot }, position);
    }

    /// The stamp for a command that begins now.
    pub(crate) fn stamp(&mut self, wall_ms: u64) -> Hlc {
        let hlc = self.clock.now(wall_ms);
        self.hide_expired(hlc.wall_ms(), EXPIRED_PER_STAMP);
        hlc
    }

    /// Takes note of up to so many keys whose deadline has passed, earliest first; returns how many. Readers are judged
    /// by the clock and need nobody to have done so.
    pub(crate) fn hide_expired(&mut self, now_ms: u64, limit: usize) -> usize {
        if self.expiries_held {
            return 0;
        }
        let changes = &mut self.changes;
        self.rows.hide_expired(now_ms, limit, |row| {
            if let Some(changes) = changes.as_mut() {
                changes.note_expired(&row.key);
            }
        })
    }

    /// Whether keys whose deadline passes are neither counted nor told of from here on. Readers see none of them in any
    /// case; afterwards they are found as if they had just expired.
    #[inline]
    pub fn hold_expiries(&mut self, held: bool) {
        self.expiries_held = held;
    }

    /// Whether [`hold_expiries`](Self::hold_expiries) holds.
    pub(crate) fn holds_expiries(&self) -> bool {
        self.expiries_held
    }

    /// The dot that the next own entry gets.
    pub(crate) fn next_dot(&self) -> Dot {
        Dot {
            replica: self.id,
            sequence: self.applied.get(self.id) + 1,
        }
    }

    /// The place that the next own entry gets.
    pub(crate) fn next_position(&self) -> Position {
        Position::of_entry(
            self.next_record,
            self.open.as_ref().map_or(0, |open| open.header.count),
        )
    }

    /// Appends an own entry, already applied, to the open frame: `encode` writes it after its stamp.
    pub(crate) fn log_entry(&mut self, hlc: Hlc, encode: impl FnOnce(&mut Vec<u8>, u64)) {
        let dot = self.next_dot();
        let open = self.open.get_or_insert_with(|| {
            let mut deps = self.applied.clone();
            deps.remove(dot.replica);
            let header = FrameHeader {
                replica: dot.replica,
                first: dot.sequence,
                count: 0,
                base: hlc,
                deps,
                extensions: Vec::new(),
            };
            OpenFrame {
                header,
                body: self.spare_bodies.pop().unwrap_or_default(),
            }
        });
        encode(&mut open.body, hlc.as_u64() - open.header.base.as_u64());
        open.header.count += 1;
        self.open_last = hlc;
        let full = open.body.len() >= FRAME_BYTES || open.header.count == FRAME_ENTRIES_MAX;
        self.applied.observe(dot);
        if full {
            self.close_open();
        }
    }

    fn close_open(&mut self) {
        let Some(open) = self.open.take() else { return };
        self.unlogged_bytes += open.body.len();
        self.unlogged.push(Unlogged {
            number: self.next_record,
            content: UnloggedContent::Own(open),
            last: self.open_last,
        });
        self.next_record += 1;
    }

    /// Puts a record that is no frame into the log, after everything applied so far; returns its number.
    pub fn log_note(&mut self, note: Note) -> u64 {
        self.close_open();
        let number = self.next_record;
        self.unlogged.push(Unlogged {
            number,
            content: UnloggedContent::Note(note),
            last: Hlc::ZERO,
        });
        self.next_record += 1;
        number
    }

    /// Where a checkpoint that starts now will stand: at the last durable frame.
    pub(crate) fn restored(&self) -> Restored {
        Restored {
            record: self.durable_record,
            applied: self.durable.clone(),
            hlc: self.clock.latest(),
            chains: self.chains().collect(),
        }
    }
}

fn last_of(header: &FrameHeader) -> Dot {
    Dot {
        replica: header.replica,
        sequence: header.first + u64::from(header.count) - 1,
    }
}
