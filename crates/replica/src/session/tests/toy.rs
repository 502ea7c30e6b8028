//! A replica whose entries say nothing: enough to be a session's host.

use std::collections::BTreeMap;

use isles_clock::{Hlc, ReplicaId, VectorClock};

use crate::delivery::{Delivery, DeliveryLimits, GENESIS_CHAIN, Lane, Offer};
use crate::frame::{Frame, FrameError, FrameHeader, OpenFrame};
use crate::history::{History, Lookup};
use crate::session::{Batch, BatchLimits, BucketContent, Exchange, FeedRequest, Host};

/// An entry without ops, as it is encoded: stamp delta, no attributes, no ops.
const EMPTY_ENTRY: [u8; 3] = [0; 3];

/// How small a toy is.
#[derive(Clone, Copy, Debug)]
pub(super) struct ToyLimits {
    pub(super) delivery: DeliveryLimits,
    pub(super) history_bytes: usize,
    pub(super) batch: BatchLimits,
}

impl Default for ToyLimits {
    fn default() -> Self {
        ToyLimits {
            delivery: DeliveryLimits::default(),
            history_bytes: 1 << 20,
            batch: BatchLimits::default(),
        }
    }
}

#[derive(Debug)]
pub(super) struct Toy {
    id: ReplicaId,
    limits: ToyLimits,
    applied: VectorClock,
    durable: VectorClock,
    delivery: Delivery,
    exchange: Exchange,
    /// Frames in the order applied; the number of a frame is its place, from one.
    pub(super) log: Vec<Frame>,
    durable_frames: usize,
    history: History,
    hlc: Hlc,
    as_of: Hlc,
    promise: Hlc,
    pub(super) sums: BTreeMap<u16, BucketContent>,
}

impl Toy {
    pub(super) fn new(id: ReplicaId, limits: ToyLimits) -> Self {
        let nothing = VectorClock::new;
        Toy {
            id,
            limits,
            applied: nothing(),
            durable: nothing(),
            delivery: Delivery::new(id, limits.delivery),
            exchange: Exchange::default(),
            log: Vec::new(),
            durable_frames: 0,
            history: History::new(id, 0, nothing(), limits.history_bytes),
            hlc: Hlc::ZERO,
            as_of: Hlc::ZERO,
            promise: Hlc::ZERO,
            sums: BTreeMap::new(),
        }
    }

    /// Writes entries into a frame of their own. Frames with another `salt` have another chain.
    pub(super) fn write(&mut self, entries: u32, salt: u64) -> Frame {
        let mut deps = self.applied.clone();
        deps.remove(self.id);
        self.hlc = self.hlc.next();
        let header = FrameHeader {
            replica: self.id,
            first: self.applied.get(self.id) + 1,
            count: entries,
            base: self.hlc,
            deps,
            extensions: vec![(99, salt.to_le_bytes().to_vec())],
        };
        let body = EMPTY_ENTRY.repeat(entries as usize);
        let frame = OpenFrame { header, body }.seal(self.delivery.previous_chain(self.id));
        self.apply_frame(frame.clone());
        frame
    }

    /// Applies everything that is ready; returns how many frames that was.
    pub(super) fn apply(&mut self) -> usize {
        let before = self.log.len();
        while let Some(frame) = self.delivery.next_ready(&self.applied) {
            self.apply_frame(frame);
        }
        self.log.len() - before
    }

    /// Makes everything durable; returns whether that changed anything.
    pub(super) fn sync(&mut self) -> bool {
        let new = self.durable_frames..self.log.len();
        self.durable_frames = self.log.len();
        for index in new.clone() {
            let frame = &self.log[index];
            self.durable.observe(frame.last_dot());
            if frame.replica() == self.id {
                self.promise = frame.header().base;
            }
            self.history.push(index as u64 + 1, frame.clone());
        }
        !new.is_empty()
    }

    /// Loses everything that is not durable and starts again.
    pub(super) fn crash(&mut self) {
        let kept: Vec<Frame> = self.log.drain(..self.durable_frames).collect();
        let mut again = Toy::new(self.id, self.limits);
        again.hlc = self.hlc;
        again.history = History::new(
            self.id,
            kept.len() as u64,
            self.durable.clone(),
            self.limits.history_bytes,
        );
        for frame in kept {
            again.durable.observe(frame.last_dot());
            again.apply_frame(frame);
        }
        again.promise = self.promise;
        again.durable_frames = again.log.len();
        *self = again;
    }

    /// What a feed asks for, from memory or from the log.
    pub(super) fn read(&self, request: &FeedRequest) -> Option<Batch> {
        match self.history.read(request, self.limits.batch) {
            Lookup::Found(batch) => Some(batch),
            Lookup::AtEnd => None,
            Lookup::Behind => {
                let durable = self.log[..self.durable_frames].iter().enumerate();
                let after = match request.from {
                    crate::session::Place::After(number) => number as usize,
                    crate::session::Place::Uncovered(_) => 0,
                };
                let frames = durable
                    .skip(after)
                    .map(|(index, frame)| Ok::<_, FrameError>((index as u64 + 1, frame.clone())));
                Some(request.collect(frames, self.limits.batch).unwrap())
            }
        }
    }

    /// The chains of one replica's frames, in order.
    pub(super) fn chains_of(&self, replica: ReplicaId) -> Vec<u64> {
        let frames = self.log.iter().filter(|frame| frame.replica() == replica);
        frames.map(Frame::chain).collect()
    }

    fn apply_frame(&mut self, frame: Frame) {
        let have = self.applied.get(frame.replica());
        assert_eq!(
            frame.first(),
            have + 1,
            "every entry is applied once and in order"
        );
        assert!(
            self.applied.dominates(&frame.header().deps),
            "causes come first"
        );
        let previous = self.delivery.previous_chain(frame.replica());
        assert!(frame.continues(previous), "one history of each replica");
        assert!(have > 0 || previous == GENESIS_CHAIN);
        self.delivery.note_chain(&frame);
        self.applied.observe(frame.last_dot());
        let bucket = self.sums.entry((frame.chain() % 8) as u16);
        let bucket = bucket.or_insert_with(|| BucketContent {
            sum: 0,
            changed: VectorClock::new(),
        });
        bucket.sum = bucket.sum.wrapping_add(u128::from(frame.chain()));
        bucket.changed.observe(frame.last_dot());
        self.log.push(frame);
    }
}

impl Host for Toy {
    fn id(&self) -> ReplicaId {
        self.id
    }

    fn applied(&self) -> &VectorClock {
        &self.applied
    }

    fn durable(&self) -> &VectorClock {
        &self.durable
    }

    fn promise(&mut self, _wall_ms: u64) -> Hlc {
        self.promise
    }

    fn as_of(&mut self, _wall_ms: u64) -> Hlc {
        if self.durable.get(self.id) == self.applied.get(self.id) {
            self.hlc = self.hlc.next();
            self.as_of = self.hlc;
        }
        self.as_of
    }

    fn offer(&mut self, frame: Frame, lane: Lane) -> Result<Offer, FrameError> {
        Ok(self.delivery.offer(frame, lane, &self.applied))
    }

    fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    fn delivery_mut(&mut self) -> &mut Delivery {
        &mut self.delivery
    }

    fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    fn exchange_mut(&mut self) -> &mut Exchange {
        &mut self.exchange
    }

    fn bucket(&self, bucket: u16) -> BucketContent {
        self.sums.get(&bucket).cloned().unwrap_or(BucketContent {
            sum: 0,
            changed: VectorClock::new(),
        })
    }

    fn digest(&self) -> u128 {
        let sums = self.sums.values().map(|bucket| bucket.sum);
        sums.fold(0, u128::wrapping_add)
    }
}
