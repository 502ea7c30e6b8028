//! What remote frames wait for before they are applied.
//!
//! A frame is ready when it continues its replica's sequence and chain and everything in its `deps` has been applied.
//! Frames that are ahead wait here, in bounded memory. The bound is per *lane*, one stream of one peer, and not per
//! writer or in all: a lane carries frames in the order of the sender's log, so the first frame of that log that is
//! missing here is always the next one in one of the sender's lanes, and that lane holds nothing that waits. Whoever
//! reads a lane only while it has room can therefore wait as long as it likes and never deadlocks.

mod links;

use std::collections::BTreeMap;
use std::ops::Bound;

use isles_clock::{ReplicaId, VectorClock};
use isles_transport::ChainLink;
use smallvec::SmallVec;

use crate::frame::Frame;

pub use links::{GENESIS_CHAIN, LINKS_MAX, LinkCheck, Links};

/// Where a frame came from: the peer, and which of its streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane {
    /// The peer that sent it, which need not be its writer.
    pub peer: ReplicaId,
    /// Which stream.
    pub kind: LaneKind,
}

/// The two streams of a peer that carry frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LaneKind {
    /// What a peer sends unasked: its own frames, and those it serves for.
    Direct,
    /// Answers to a pull.
    Pulled,
}

/// How much one lane may keep waiting. A lane below its limits takes one more frame of any size.
#[derive(Clone, Copy, Debug)]
pub struct DeliveryLimits {
    /// Bytes of all frames of a lane.
    pub lane_bytes: usize,
    /// Number of frames of a lane.
    pub lane_frames: usize,
}

impl Default for DeliveryLimits {
    fn default() -> Self {
        DeliveryLimits {
            lane_bytes: 16 << 20,
            lane_frames: 4096,
        }
    }
}

/// What became of an offered frame.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Offer {
    /// It waits, or is ready.
    Accepted,
    /// It was applied before, or waits already.
    Duplicate,
    /// Its lane has no room; it was dropped. See [`Delivery::has_room`].
    Full,
    /// It belongs to another history of its replica; it was dropped.
    Fork(Fork),
    /// It proves that this replica wrote more than it remembers; it was dropped.
    Amnesia(Amnesia),
}

/// Two histories of one replica: a disk was restored or cloned, and both copies have written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fork {
    /// Whose history branched.
    pub replica: ReplicaId,
    /// Where they were found to differ.
    pub sequence: u64,
    /// The chain here; none if no frame ends there.
    pub ours: Option<u64>,
    /// The chain there.
    pub theirs: u64,
}

/// Somebody holds writes of this replica that it does not remember.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amnesia {
    /// The last sequence that the other side knows of.
    pub known: u64,
    /// The last one that this replica remembers.
    pub remembered: u64,
}

/// What a lane keeps waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Number of frames.
    pub frames: usize,
    /// Bytes of them.
    pub bytes: usize,
}

/// The frames that wait, and the chain links of all that went before.
#[derive(Debug)]
pub struct Delivery {
    own: ReplicaId,
    limits: DeliveryLimits,
    // Invariant: the newest link of every other replica ends where the applied clock says. Own frames are sealed after
    // they were applied, so theirs may end earlier.
    links: Links,
    // Invariant: frames of one replica, by first sequence, do not overlap.
    waiting: BTreeMap<ReplicaId, BTreeMap<u64, Waiting>>,
    held: BTreeMap<Lane, Held>,
    named: VectorClock,
    forks: BTreeMap<ReplicaId, Fork>,
    last_served: ReplicaId,
}

#[derive(Debug)]
struct Waiting {
    frame: Frame,
    lane: Lane,
    /// Its chain has been compared with that of the frame before it.
    linked: bool,
}

impl Delivery {
    /// Nothing waits and nothing was applied.
    pub fn new(own: ReplicaId, limits: DeliveryLimits) -> Self {
        Delivery {
            own,
            limits,
            links: Links::default(),
            waiting: BTreeMap::new(),
            held: BTreeMap::new(),
            named: VectorClock::new(),
            forks: BTreeMap::new(),
            last_served: ReplicaId::from_u128(0),
        }
    }

    /// Notes a frame that was applied, or an own one that was sealed: the next one must continue it.
    pub fn note_chain(&mut self, frame: &Frame) {
        self.links
            .note(frame.replica(), frame.last(), frame.chain());
    }

    /// Puts back a link that a checkpoint or snapshot carries.
    pub fn restore(&mut self, link: ChainLink) {
        self.links.note(link.replica, link.sequence, link.chain);
    }

    /// The chain links of all that was applied.
    pub fn links(&self) -> &Links {
        &self.links
    }

    /// The chain that the next frame of `replica` must continue.
    pub fn previous_chain(&self, replica: ReplicaId) -> u64 {
        self.links
            .last(replica)
            .map_or(GENESIS_CHAIN, |link| link.chain)
    }

    /// Whether the next frame of this lane may be offered. Ask before reading it from the stream.
    pub fn has_room(&self, lane: Lane) -> bool {
        let held = self.held(lane);
        held.bytes < self.limits.lane_bytes && held.frames < self.limits.lane_frames
    }

    /// What this lane keeps waiting.
    pub fn held(&self, lane: Lane) -> Held {
        self.held.get(&lane).copied().unwrap_or_default()
    }

    /// Takes a frame from a peer. `applied` is the clock of all that was applied.
    pub fn offer(&mut self, frame: Frame, lane: Lane, applied: &VectorClock) -> Offer {
        let have = applied.get(frame.replica());
        if let Some(amnesia) = self.amnesia(&frame, applied) {
            return Offer::Amnesia(amnesia);
        }
        if frame.last() <= have {
            return match self.links.check(end_of(&frame)) {
                LinkCheck::Different { ours } => Offer::Fork(fork(&frame, ours)),
                LinkCheck::Same | LinkCheck::Unknown => Offer::Duplicate,
            };
        }
        let next = frame.first() == have + 1;
        if frame.first() <= have || (next && !self.is_linked(&frame, have)) {
            return Offer::Fork(fork(&frame, None));
        }
        match self.overlapped(&frame) {
            Some(other) if other.first() == frame.first() && other.chain() == frame.chain() => {
                return Offer::Duplicate;
            }
            Some(other) => return Offer::Fork(fork(&frame, Some(other.chain()))),
            None => {}
        }
        if !self.has_room(lane) {
            return Offer::Full;
        }
        self.keep(Waiting {
            frame,
            lane,
            linked: next,
        });
        Offer::Accepted
    }

    /// Takes out a frame that is ready. The caller applies it and notes its chain before it asks again. Replicas take
    /// turns.
    pub fn next_ready(&mut self, applied: &VectorClock) -> Option<Frame> {
        self.next_ready_if(applied, &mut |_| true)
    }

    /// The same, of frames that may be applied now; the others go on waiting, and their replicas lose their turn.
    pub fn next_ready_if(
        &mut self,
        applied: &VectorClock,
        may_apply: &mut dyn FnMut(&Frame) -> bool,
    ) -> Option<Frame> {
        let after = (Bound::Excluded(self.last_served), Bound::Unbounded);
        let turns: SmallVec<[ReplicaId; 8]> = self
            .waiting
            .range(after)
            .chain(self.waiting.range(..=self.last_served))
            .map(|entry| *entry.0)
            .collect();
        turns
            .into_iter()
            .find_map(|replica| self.take_ready(replica, applied, may_apply))
    }

    /// Everything that frames seen so far named, themselves included: it exists somewhere.
    pub fn named(&self) -> &VectorClock {
        &self.named
    }

    /// Through which sequence the frames of `replica` are here without a gap, applied or waiting.
    pub fn reach(&self, replica: ReplicaId, applied: &VectorClock) -> u64 {
        let frames = self
            .waiting
            .get(&replica)
            .into_iter()
            .flat_map(BTreeMap::values);
        frames.fold(applied.get(replica), |reach, waiting| {
            if waiting.frame.first() <= reach + 1 {
                reach.max(waiting.frame.last())
            } else {
                reach
            }
        })
    }

    /// Whether a later frame of `replica` waits for an earlier one that is not here.
    pub fn has_gap(&self, replica: ReplicaId, applied: &VectorClock) -> bool {
        let last = self
            .waiting
            .get(&replica)
            .and_then(BTreeMap::last_key_value);
        last.is_some_and(|(_, waiting)| waiting.frame.first() > self.reach(replica, applied))
    }

    /// What waiting frames wait for and is not here: (replica, after, through).
    pub fn missing(&self, applied: &VectorClock) -> Vec<(ReplicaId, u64, u64)> {
        let mut missing = self.named.minus(applied);
        missing.retain_mut(|(replica, after, through)| {
            *after = self.reach(*replica, applied);
            *after < *through
        });
        missing
    }

    /// Drops what waits in a lane, because its sender is about to send it again.
    pub fn discard(&mut self, lane: Lane) {
        for frames in self.waiting.values_mut() {
            frames.retain(|_, waiting| waiting.lane != lane);
        }
        self.waiting.retain(|_, frames| !frames.is_empty());
        self.held.remove(&lane);
    }

    /// A fork that was found in frames of this peer only after they had been accepted.
    pub fn take_fork(&mut self, peer: ReplicaId) -> Option<Fork> {
        self.forks.remove(&peer)
    }

    fn amnesia(&self, frame: &Frame, applied: &VectorClock) -> Option<Amnesia> {
        let remembered = applied.get(self.own);
        let own = if frame.replica() == self.own {
            frame.last()
        } else {
            0
        };
        let known = frame.header().deps.get(self.own).max(own);
        (known > remembered).then_some(Amnesia { known, remembered })
    }

    fn is_linked(&self, frame: &Frame, have: u64) -> bool {
        let last = self
            .links
            .last(frame.replica())
            .map_or(0, |link| link.sequence);
        assert_eq!(
            last, have,
            "invariant: the newest link ends where the applied clock says"
        );
        frame.continues(self.previous_chain(frame.replica()))
    }

    /// A waiting frame that shares a sequence with this one.
    fn overlapped(&self, frame: &Frame) -> Option<&Frame> {
        let (_, other) = self
            .waiting
            .get(&frame.replica())?
            .range(..=frame.last())
            .next_back()?;
        (other.frame.last() >= frame.first()).then_some(&other.frame)
    }

    fn keep(&mut self, waiting: Waiting) {
        let frame = &waiting.frame;
        self.named.merge(&frame.header().deps);
        self.named.observe(frame.last_dot());
        let held = self.held.entry(waiting.lane).or_default();
        held.frames += 1;
        held.bytes += frame.bytes().len();
        self.waiting
            .entry(frame.replica())
            .or_default()
            .insert(frame.first(), waiting);
    }

    fn take_ready(
        &mut self,
        replica: ReplicaId,
        applied: &VectorClock,
        may_apply: &mut dyn FnMut(&Frame) -> bool,
    ) -> Option<Frame> {
        let have = applied.get(replica);
        loop {
            let head = &self.waiting.get(&replica)?.first_key_value()?.1.frame;
            let covered = head.last() <= have;
            let ready = head.first() <= have + 1 && applied.dominates(&head.header().deps);
            if !(covered || ready && may_apply(head)) {
                return None;
            }
            let head = self.take_head(replica);
            if covered {
                continue;
            }
            if !head.linked
                && (head.frame.first() != have + 1 || !self.is_linked(&head.frame, have))
            {
                self.forks.insert(head.lane.peer, fork(&head.frame, None));
                self.discard(head.lane);
                return None;
            }
            self.last_served = replica;
            return Some(head.frame);
        }
    }

    fn take_head(&mut self, replica: ReplicaId) -> Waiting {
        let frames = self
            .waiting
            .get_mut(&replica)
            .expect("invariant: the caller has seen the head");
        let (_, head) = frames.pop_first().expect("invariant: no queue is empty");
        if frames.is_empty() {
            self.waiting.remove(&replica);
        }
        let held = self
            .held
            .get_mut(&head.lane)
            .expect("invariant: every waiting frame is counted");
        held.frames -= 1;
        held.bytes -= head.frame.bytes().len();
        if held.frames == 0 {
            self.held.remove(&head.lane);
        }
        head
    }
}

fn end_of(frame: &Frame) -> ChainLink {
    ChainLink {
        replica: frame.replica(),
        sequence: frame.last(),
        chain: frame.chain(),
    }
}

fn fork(frame: &Frame, ours: Option<u64>) -> Fork {
    Fork {
        replica: frame.replica(),
        sequence: frame.last(),
        ours,
        theirs: frame.chain(),
    }
}

#[cfg(test)]
mod tests;
