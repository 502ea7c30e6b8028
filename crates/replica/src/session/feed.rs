//! What frames a peer is sent, and from where in the log.
//!
//! A feed is a cursor over the sender's own log, never a queue: a slow peer costs nothing, whoever is behind the recent
//! frames is served from the log on disk. There are two of them, one for each stream that carries frames. The direct
//! one carries what this node serves for (its own frames, above all) as soon as it is durable. The pull answer carries
//! everything that its asker lacks, except what the direct one has yet to bring; so each frame travels once, and both
//! streams are in log order.

use std::sync::Arc;

use bytes::Bytes;
use isles_clock::{Context, ReplicaId, VectorClock};
use isles_transport::Message;

use crate::frame::Frame;

/// What a feed reads next: ask `History`, and the log on disk where that is behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedRequest {
    /// Where to begin.
    pub from: Place,
    /// Whose frames to read; others are passed over.
    pub origins: Origins,
    /// Tells the answer to this request from one that came too late.
    pub(super) generation: u64,
    /// What the feed has passed: it need not go to the disk for records that are no frames.
    pub(crate) passed: VectorClock,
}

/// Where in the log a feed goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// After the frame with this number.
    After(u64),
    /// At the first frame (of the wanted origins) that this clock does not cover, or anywhere before it.
    Uncovered(VectorClock),
}

/// Whose frames a feed carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// Everybody's.
    All,
    /// Those of these replicas.
    Only(Arc<[ReplicaId]>),
}

impl Origins {
    /// Whether frames of `replica` are carried.
    pub fn include(&self, replica: ReplicaId) -> bool {
        match self {
            Origins::All => true,
            Origins::Only(replicas) => replicas.contains(&replica),
        }
    }
}

impl FeedRequest {
    /// Everybody's frames from some place on.
    pub fn starting(from: Place) -> FeedRequest {
        FeedRequest {
            from,
            origins: Origins::All,
            generation: DIRECT,
            passed: VectorClock::new(),
        }
    }

    /// Whether the frame with this number is worth handing over; the session passes over the others anyhow.
    pub fn wants(&self, number: u64, frame: &Frame) -> bool {
        self.origins.include(frame.replica())
            && match &self.from {
                Place::After(after) => number > *after,
                Place::Uncovered(clock) => !clock.covers(frame.last_dot()),
            }
    }

    /// Reads a batch from `frames`, which come in log order and begin at or before the wanted place.
    ///
    /// # Errors
    /// The first error of `frames`.
    pub fn collect<E>(
        &self,
        frames: impl IntoIterator<Item = Result<(u64, Frame), E>>,
        limits: BatchLimits,
    ) -> Result<Batch, E> {
        let (mut batch, mut bytes) = (Batch::default(), 0);
        for (examined, frame) in frames.into_iter().enumerate() {
            let (number, frame) = frame?;
            batch.through = number;
            if self.wants(number, &frame) {
                bytes += frame.bytes().len();
                batch.frames.push((number, frame));
            }
            if bytes >= limits.bytes || examined + 1 >= limits.examined {
                break;
            }
        }
        Ok(batch)
    }
}

/// How much is read at a time.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    /// A batch ends when it holds this many bytes.
    pub bytes: usize,
    /// A batch ends when so many frames were looked at, wanted or not.
    pub examined: usize,
}

impl Default for BatchLimits {
    fn default() -> Self {
        BatchLimits {
            bytes: 256 << 10,
            examined: 4096,
        }
    }
}

/// Frames read for a feed, in log order, with their numbers.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// The frames.
    pub frames: Vec<(u64, Frame)>,
    /// The number of the last frame that was looked at, wanted or not; zero if there was none.
    pub through: u64,
}

/// The generation of a direct feed; answers to pulls count from one.
pub(super) const DIRECT: u64 = 0;

/// One stream of frames to a peer.
#[derive(Debug)]
pub(super) struct Feed {
    from: Place,
    origins: Origins,
    generation: u64,
    /// What the peer has of what this feed would bring.
    has: VectorClock,
    /// What was read for this feed, or needed no reading.
    passed: VectorClock,
    /// What the other feed brings from its cursor on; before that this one does.
    other: Option<(Origins, u64)>,
}

impl Feed {
    /// The stream of what this node serves for, from what the peer has.
    pub(super) fn direct(origins: Origins, has: VectorClock) -> Feed {
        Feed {
            from: Place::Uncovered(has.clone()),
            origins,
            generation: DIRECT,
            passed: has.clone(),
            has,
            other: None,
        }
    }

    /// The answer to a pull. `direct` is the other stream to the same peer.
    pub(super) fn answer(have: VectorClock, direct: &Feed, generation: u64) -> Feed {
        let sent = match direct.from {
            Place::After(number) => number,
            Place::Uncovered(_) => 0,
        };
        Feed {
            from: Place::Uncovered(have.clone()),
            origins: Origins::All,
            generation,
            passed: have.clone(),
            has: have,
            other: Some((direct.origins.clone(), sent)),
        }
    }

    pub(super) fn request(&self) -> FeedRequest {
        FeedRequest {
            from: self.from.clone(),
            origins: self.origins.clone(),
            generation: self.generation,
            passed: self.passed.clone(),
        }
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// The peer has come this far by other ways, too.
    pub(super) fn note(&mut self, applied: &VectorClock) {
        self.has.merge(applied);
    }

    /// What it was to read next is trimmed from the log, which begins at `floor` for each replica. Goes on behind that if
    /// the peer has all of it by other ways, an older connection or another peer; says whether it does.
    pub(super) fn pass_trimmed(&mut self, floor: &[(ReplicaId, u64)]) -> bool {
        let mut there = self.has.clone();
        there.merge(&self.passed);
        let is_there = |(replica, first): &(ReplicaId, u64)| {
            !self.origins.include(*replica) || there.get(*replica) + 1 >= *first
        };
        let held = floor.iter().all(is_there);
        let from = Place::Uncovered(there.clone());
        // The same place once more would be as much in vain.
        let moved = held && self.from != from;
        if moved {
            (self.from, self.passed) = (from, there);
        }
        moved
    }

    /// The number through which the log has been read for this feed, once its place is known.
    pub(super) fn cursor(&self) -> Option<u64> {
        match self.from {
            Place::After(number) => Some(number),
            Place::Uncovered(_) => None,
        }
    }

    /// Moves the cursor past `batch` and says what to send of it, in this order.
    pub(super) fn advance(&mut self, batch: Batch) -> impl Iterator<Item = Message> {
        if batch.through > 0 {
            self.from = Place::After(batch.through);
        }
        for (_, frame) in &batch.frames {
            self.passed.observe(frame.last_dot());
        }
        let wanted = batch
            .frames
            .into_iter()
            .filter(|(number, frame)| self.wants(*number, frame));
        wanted.map(|(_, frame)| Message::Frame(Bytes::clone(frame.bytes())))
    }

    fn wants(&self, number: u64, frame: &Frame) -> bool {
        let elsewhere = self
            .other
            .as_ref()
            .is_some_and(|(origins, sent)| number > *sent && origins.include(frame.replica()));
        self.origins.include(frame.replica()) && !elsewhere && !self.has.covers(frame.last_dot())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(sequence: u64) -> VectorClock {
        [(ReplicaId::from_u128(1), sequence)].into_iter().collect()
    }

    // The peer got the entries over an older connection, and its ack let the log go.
    #[test]
    fn what_the_peer_has_may_be_trimmed() {
        let floor = [(ReplicaId::from_u128(1), 6)];
        let mut feed = Feed::direct(Origins::All, clock(3));
        assert!(!feed.pass_trimmed(&floor), "4 and 5 are lost to it");
        feed.note(&clock(7));
        assert!(feed.pass_trimmed(&floor));
        assert_eq!(feed.request().from, Place::Uncovered(clock(7)));
        assert!(!feed.pass_trimmed(&floor), "it would never end");
    }
}
