//! The newest durable frames in memory, so that peers that keep up never touch the disk.

use std::collections::VecDeque;

use isles_clock::{Context, ReplicaId, VectorClock};

use crate::frame::Frame;
use crate::session::{Batch, BatchLimits, FeedRequest, Origins, Place};

/// How many bytes of frames are kept by default.
pub const HISTORY_BYTES: usize = 64 << 20;

/// A ring of the newest durable frames, in log order.
///
/// Only frames that are durable go in, so whatever is read from here may leave the node. It holds every frame of the
/// log after [`floor`](Self::floor); what is older is on disk.
#[derive(Debug)]
pub struct History {
    own: ReplicaId,
    bytes_max: usize,
    // Invariant: ascending numbers, all above `floor`.
    entries: VecDeque<Entry>,
    bytes: usize,
    floor: u64,
    dropped: VectorClock,
    total: Volume,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    frame: Frame,
    /// Of everything pushed, through this frame.
    total: Volume,
}

#[derive(Clone, Copy, Debug, Default)]
struct Volume {
    frames: u64,
    bytes: u64,
    own_frames: u64,
    own_bytes: u64,
}

/// What a reader gets.
#[derive(Clone, Debug)]
pub enum Lookup {
    /// The next frames.
    Found(Batch),
    /// What comes next is older than this ring: read it from the log on disk.
    Behind,
    /// There is nothing newer yet.
    AtEnd,
}

/// What a peer has still to be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Number of frames of all replicas.
    pub frames: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Number of this replica's own frames.
    pub own_frames: u64,
    /// Bytes of them.
    pub own_bytes: u64,
    /// Whether more is on disk, which is not counted here.
    pub more_on_disk: bool,
}

impl History {
    /// An empty ring: the frames through number `floor` are on disk, and `durable` covers exactly those.
    pub fn new(own: ReplicaId, floor: u64, durable: VectorClock, bytes_max: usize) -> Self {
        History {
            own,
            bytes_max,
            entries: VecDeque::new(),
            bytes: 0,
            floor,
            dropped: durable,
            total: Volume::default(),
        }
    }

    /// Appends the next durable frame of the log. The newest frame is kept whatever its size.
    pub fn push(&mut self, number: u64, frame: Frame) {
        assert!(
            number > self.end(),
            "invariant: frames become durable in log order"
        );
        let bytes = frame.bytes().len();
        self.total.add(bytes as u64, frame.replica() == self.own);
        self.bytes += bytes;
        self.entries.push_back(Entry {
            number,
            frame,
            total: self.total,
        });
        while self.bytes > self.bytes_max && self.entries.len() > 1 {
            self.drop_oldest();
        }
    }

    /// The number of the newest frame that is not here but on disk.
    pub fn floor(&self) -> u64 {
        self.floor
    }

    /// The number of the newest durable frame.
    pub fn end(&self) -> u64 {
        self.entries.back().map_or(self.floor, |entry| entry.number)
    }

    /// Bytes of the frames in the ring.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The frames after number `after`.
    pub fn after(&self, after: u64, limits: BatchLimits) -> Lookup {
        self.read(&FeedRequest::starting(Place::After(after)), limits)
    }

    /// The frames that a feed asks for.
    pub fn read(&self, request: &FeedRequest, limits: BatchLimits) -> Lookup {
        let reaches_back = |clock| self.reaches_back_to(clock, &request.origins);
        let start = match &request.from {
            // Between the cursor and the floor there may be only records that are no frames.
            Place::After(after) if *after < self.floor && !reaches_back(&request.passed) => {
                return Lookup::Behind;
            }
            Place::After(after) => self.entries.partition_point(|entry| entry.number <= *after),
            Place::Uncovered(clock) if !reaches_back(clock) => return Lookup::Behind,
            Place::Uncovered(clock) => self.first_uncovered(clock, &request.origins),
        };
        let frames = self
            .entries
            .range(start..)
            .map(|entry| Ok((entry.number, entry.frame.clone())));
        let batch: Result<Batch, std::convert::Infallible> = request.collect(frames, limits);
        match batch {
            Ok(batch) if batch.through == 0 => Lookup::AtEnd,
            Ok(batch) => Lookup::Found(batch),
        }
    }

    /// The number of the frame that holds this entry, if it is in the ring.
    pub fn locate(&self, replica: ReplicaId, sequence: u64) -> Option<u64> {
        let holds = |entry: &&Entry| {
            entry.frame.replica() == replica
                && (entry.frame.first()..=entry.frame.last()).contains(&sequence)
        };
        self.entries
            .iter()
            .rev()
            .find(holds)
            .map(|entry| entry.number)
    }

    /// What lies between a feed's cursor and the end.
    pub fn backlog(&self, after: u64) -> Backlog {
        let start = self.entries.partition_point(|entry| entry.number <= after);
        let before = match start.checked_sub(1) {
            Some(index) => self.entries[index].total,
            None => self
                .entries
                .front()
                .map_or(self.total, Entry::total_before(self.own)),
        };
        Backlog {
            frames: self.total.frames - before.frames,
            bytes: self.total.bytes - before.bytes,
            own_frames: self.total.own_frames - before.own_frames,
            own_bytes: self.total.own_bytes - before.own_bytes,
            more_on_disk: after < self.floor,
        }
    }

    fn drop_oldest(&mut self) {
        let oldest = self
            .entries
            .pop_front()
            .expect("invariant: the caller has seen an entry");
        self.bytes -= oldest.frame.bytes().len();
        self.floor = oldest.number;
        self.dropped.observe(oldest.frame.last_dot());
    }

    /// Whether a peer with this clock has everything wanted that is not in the ring.
    fn reaches_back_to(&self, clock: &VectorClock, origins: &Origins) -> bool {
        self.dropped
            .iter()
            .all(|(replica, through)| !origins.include(replica) || clock.get(replica) >= through)
    }

    fn first_uncovered(&self, clock: &VectorClock, origins: &Origins) -> usize {
        let wanted = |entry: &Entry| {
            origins.include(entry.frame.replica()) && !clock.covers(entry.frame.last_dot())
        };
        // At the end the cursor still has to move there, or every later read would begin from the start again.
        self.entries
            .iter()
            .position(wanted)
            .unwrap_or(self.entries.len().saturating_sub(1))
    }
}

impl Entry {
    fn total_before(own: ReplicaId) -> impl Fn(&Entry) -> Volume {
        move |entry| {
            let mut total = entry.total;
            total.remove(
                entry.frame.bytes().len() as u64,
                entry.frame.replica() == own,
            );
            total
        }
    }
}

impl Volume {
    fn add(&mut self, bytes: u64, own: bool) {
        self.frames += 1;
        self.bytes += bytes;
        if own {
            self.own_frames += 1;
            self.own_bytes += bytes;
        }
    }

    fn remove(&mut self, bytes: u64, own: bool) {
        self.frames -= 1;
        self.bytes -= bytes;
        if own {
            self.own_frames -= 1;
            self.own_bytes -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use isles_clock::Hlc;

    use super::*;
    use crate::frame::{FrameHeader, OpenFrame};

    const OWN: ReplicaId = ReplicaId::from_u128(1);
    const EU: ReplicaId = ReplicaId::from_u128(2);
    const BYTES: usize = 100;

    fn frame(replica: ReplicaId, sequence: u64) -> Frame {
        let deps = VectorClock::new();
        let header = FrameHeader {
            replica,
            first: sequence,
            count: 1,
            base: Hlc::ZERO,
            deps,
            extensions: Vec::new(),
        };
        let bare = OpenFrame {
            header: header.clone(),
            body: Vec::new(),
        }
        .seal(0)
        .bytes()
        .len();
        OpenFrame {
            header,
            body: vec![0; BYTES - bare],
        }
        .seal(0)
    }

    /// own:1 eu:1 own:2 eu:2 … with numbers 2, 4, 6, …, because other records have numbers too.
    fn history(frames: u64, kept: usize) -> History {
        let mut history = History::new(OWN, 0, VectorClock::new(), kept * BYTES);
        for index in 0..frames {
            let replica = if index % 2 == 0 { OWN } else { EU };
            history.push(2 * (index + 1), frame(replica, index / 2 + 1));
        }
        history
    }

    fn numbers(lookup: Lookup) -> String {
        match lookup {
            Lookup::Found(batch) => {
                let numbers: Vec<u64> = batch.frames.iter().map(|frame| frame.0).collect();
                format!("{numbers:?} through {}", batch.through)
            }
            Lookup::Behind => "behind".to_owned(),
            Lookup::AtEnd => "at end".to_owned(),
        }
    }

    fn request(from: Place, origins: Origins) -> FeedRequest {
        let mut request = FeedRequest::starting(from);
        request.origins = origins;
        request
    }

    #[test]
    fn a_cursor_reads_on_or_is_sent_to_the_disk() {
        let history = history(6, 4);
        assert_eq!(
            (history.floor(), history.end(), history.bytes()),
            (4, 12, 400)
        );
        let after = |number| numbers(history.after(number, BatchLimits::default()));
        assert_eq!(after(3), "behind");
        assert_eq!(after(4), "[6, 8, 10, 12] through 12");
        assert_eq!(after(9), "[10, 12] through 12");
        assert_eq!(after(12), "at end");
    }

    #[test]
    fn a_batch_is_bounded() {
        let history = history(6, 6);
        let limits = |bytes, examined| BatchLimits { bytes, examined };
        assert_eq!(numbers(history.after(0, limits(1, 100))), "[2] through 2");
        assert_eq!(
            numbers(history.after(0, limits(101, 100))),
            "[2, 4] through 4"
        );
        assert_eq!(
            numbers(history.after(0, limits(1000, 3))),
            "[2, 4, 6] through 6"
        );
    }

    #[test]
    fn a_clock_finds_its_place_and_passes_over_what_it_covers() {
        let history = history(6, 4);
        let only_own = || Origins::Only([OWN].into());
        let read = |clock: &[(ReplicaId, u64)], origins| {
            let from = Place::Uncovered(clock.iter().copied().collect());
            numbers(history.read(&request(from, origins), BatchLimits::default()))
        };
        assert_eq!(read(&[(OWN, 1)], Origins::All), "behind");
        assert_eq!(read(&[(OWN, 1)], only_own()), "[6, 10] through 12");
        assert_eq!(read(&[], only_own()), "behind");
        assert_eq!(
            read(&[(OWN, 2), (EU, 1)], Origins::All),
            "[8, 10, 12] through 12"
        );
        assert_eq!(
            read(&[(OWN, 1), (EU, 3)], Origins::All),
            "[6, 10] through 12"
        );
        assert_eq!(read(&[(OWN, 3), (EU, 3)], Origins::All), "[] through 12");
    }

    #[test]
    fn an_entry_and_the_backlog_are_found() {
        let history = history(6, 4);
        assert_eq!(history.locate(EU, 2), Some(8));
        assert_eq!(history.locate(EU, 1), None);
        let backlog = |frames, own_frames, more_on_disk| Backlog {
            frames,
            bytes: frames * 100,
            own_frames,
            own_bytes: own_frames * 100,
            more_on_disk,
        };
        assert_eq!(history.backlog(12), backlog(0, 0, false));
        assert_eq!(history.backlog(8), backlog(2, 1, false));
        assert_eq!(history.backlog(4), backlog(4, 2, false));
        assert_eq!(history.backlog(0), backlog(4, 2, true));
    }
}
