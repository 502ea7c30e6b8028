//! What a session needs of the replica that it speaks for, and what it asks its driver to do.

use isles_clock::{Hlc, ReplicaId, VectorClock};
use isles_transport::{Message, TrafficClass};
use smallvec::SmallVec;

use super::audit::BucketContent;
use super::error::SessionError;
use super::exchange::Exchange;
use crate::Replica;
use crate::delivery::{Delivery, Lane, LaneKind, Offer};
use crate::frame::{Frame, FrameError};

/// The replica, as its sessions see it.
///
/// All calls happen under the replica's lock. Durable means: as the policy asks; what is durable may leave the node.
pub trait Host {
    /// The replica's identity.
    fn id(&self) -> ReplicaId;
    /// Everything that was applied.
    fn applied(&self) -> &VectorClock;
    /// Everything that the log holds durably: a prefix of it, so a causally closed one.
    fn durable(&self) -> &VectorClock;
    /// The stamp of the oldest own entry that is not durable, else the clock; after this, own stamps are greater.
    fn promise(&mut self, wall_ms: u64) -> Hlc;
    /// No own entry with this stamp or a smaller one will come, and all of them are durable; holds for this process.
    fn as_of(&mut self, wall_ms: u64) -> Hlc;
    /// Gives a frame to [`delivery`](Self::delivery), with the applied clock.
    ///
    /// # Errors
    /// The entries in the frame do not decode.
    fn offer(&mut self, frame: Frame, lane: Lane) -> Result<Offer, FrameError>;
    /// What remote frames wait in.
    fn delivery(&self) -> &Delivery;
    /// What remote frames wait in.
    fn delivery_mut(&mut self) -> &mut Delivery;
    /// What the replica's sessions share.
    fn exchange(&self) -> &Exchange;
    /// What the replica's sessions share.
    fn exchange_mut(&mut self) -> &mut Exchange;
    /// The content sum of one of the [`BUCKETS`](crate::BUCKETS), as of the applied clock.
    fn bucket(&self, bucket: u16) -> BucketContent;
    /// The content sum of everything, as of the applied clock.
    fn digest(&self) -> u128;
}

/// A replica and what its sessions share; both live behind one lock.
#[derive(Debug)]
pub struct ReplicaHost<'a> {
    /// The replica.
    pub replica: &'a mut Replica,
    /// What its sessions share.
    pub exchange: &'a mut Exchange,
}

impl Host for ReplicaHost<'_> {
    fn id(&self) -> ReplicaId {
        self.replica.id()
    }

    fn applied(&self) -> &VectorClock {
        self.replica.applied()
    }

    fn durable(&self) -> &VectorClock {
        self.replica.durable()
    }

    fn promise(&mut self, _wall_ms: u64) -> Hlc {
        self.replica.promise()
    }

    fn as_of(&mut self, wall_ms: u64) -> Hlc {
        self.replica.as_of(wall_ms)
    }

    fn offer(&mut self, frame: Frame, lane: Lane) -> Result<Offer, FrameError> {
        self.replica.offer(frame, lane)
    }

    fn delivery(&self) -> &Delivery {
        self.replica.delivery()
    }

    fn delivery_mut(&mut self) -> &mut Delivery {
        self.replica.delivery_mut()
    }

    fn exchange(&self) -> &Exchange {
        self.exchange
    }

    fn exchange_mut(&mut self) -> &mut Exchange {
        self.exchange
    }

    fn bucket(&self, bucket: u16) -> BucketContent {
        let (sum, changed) = self.replica.bucket_sum(bucket);
        BucketContent { sum, changed }
    }

    fn digest(&self) -> u128 {
        self.replica.digest()
    }
}

/// What the driver does next.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Effect {
    /// The peer is known and accepted: see [`Session::peer`](super::Session::peer). All lanes may be read and fed.
    Established,
    /// Close the connection of this older session with the same peer.
    Replace {
        /// The older session.
        session: u64,
    },
    /// Call `advance` of this session, and send what it has to say.
    Wake {
        /// The other session.
        session: u64,
    },
    /// Frames may have become ready: apply them after the next seal.
    Ready,
    /// The answer to a pull has begun, ended, or begun anew: look at its feed.
    Feed,
    /// The same content sum should be the same here and at the peer, and is not.
    Diverged {
        /// The bucket; none stands for everything.
        bucket: Option<u32>,
        /// The sum here.
        ours: u128,
        /// The sum there.
        theirs: u128,
    },
}

/// A few effects, in order.
pub type Effects = SmallVec<[Effect; 2]>;

/// A message as it came out of a lane, checked as far as it can be without the replica.
#[derive(Clone, Debug)]
pub enum Received {
    /// Something in the control lane.
    Control(Message),
    /// A frame.
    Frame(LaneKind, Frame),
    /// An answer begins in the pull lane.
    AnswerBegins,
    /// Something that newer versions say and older ones need not know.
    Skipped,
    /// Something that no peer should send.
    Bad(SessionError),
}

impl Received {
    /// Checks a message and decodes the frame in it. Do this outside the replica's lock: it reads every byte.
    pub fn decode(class: TrafficClass, message: Message) -> Received {
        match (class, message) {
            (TrafficClass::Frames, Message::Frame(bytes)) => {
                Received::frame(LaneKind::Direct, bytes)
            }
            (TrafficClass::Pull, Message::Frame(bytes)) => Received::frame(LaneKind::Pulled, bytes),
            (TrafficClass::Pull, Message::StreamStart(_)) => Received::AnswerBegins,
            (TrafficClass::Frames, Message::StreamStart(_)) => Received::Skipped,
            (TrafficClass::Control, message) if !matches!(message, Message::Frame(_)) => {
                Received::Control(message)
            }
            (class, message) => {
                let what = format!("{} in the {class} lane", message.name());
                Received::Bad(SessionError::violation("the peer", what))
            }
        }
    }

    fn frame(lane: LaneKind, bytes: bytes::Bytes) -> Received {
        let verified = Frame::decode(bytes).and_then(|frame| frame.verify().map(|()| frame));
        verified.map_or_else(
            |error| Received::Bad(error.into()),
            |frame| Received::Frame(lane, frame),
        )
    }
}
