//! The bodies of messages.

use bytes::Bytes;
use isles_clock::{Hlc, ReplicaId, VectorClock};
use serde::{Deserialize, Serialize};

/// Who I am and what I hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// Oldest protocol that the sender speaks.
    pub protocol_min: u16,
    /// Newest protocol that the sender speaks; both sides use the smaller of the two newest.
    pub protocol_max: u16,
    /// The cluster's name; peers of another cluster are refused.
    pub cluster: String,
    /// The sender's writer identity.
    pub replica: ReplicaId,
    /// The sender's node name.
    pub node: String,
    /// The sender's region.
    pub region: String,
    /// Whether the sender takes writes.
    pub role: Role,
    /// Drawn at each start of the process: tells a reconnect from a clone.
    pub nonce: u64,
    /// Everything that the sender has applied.
    pub applied: VectorClock,
    /// Everything that the sender holds durably.
    pub durable: VectorClock,
    /// Where the sender's copy of each replica's log ends, to notice forks.
    pub chains: Vec<ChainLink>,
    /// Per replica, the first sequence that the sender's log still holds.
    pub floor: Vec<(ReplicaId, u64)>,
    /// Things that this version has no field for, by number; unknown ones are ignored.
    pub extensions: Vec<(u32, Vec<u8>)>,
}

/// What a node does with client writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// Takes writes.
    Leader,
    /// Copies its region's leader.
    Follower,
}

/// The last frame of one replica that the sender holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainLink {
    /// Whose frame it is.
    pub replica: ReplicaId,
    /// The last sequence in it.
    pub sequence: u64,
    /// Its chain value.
    pub chain: u64,
}

/// How far one replica has come. It names whom it is about, so that others can relay it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ack {
    /// Whose progress this is.
    pub about: ReplicaId,
    /// What it holds durably.
    pub durable: VectorClock,
    /// Nothing of its own with a smaller stamp will appear any more.
    pub promise: Hlc,
    /// What it has applied.
    pub applied: VectorClock,
    /// Of its own entries it holds all with this stamp or a smaller one durably, and will write none; unlike the promise
    /// this goes on without writes, and may be broken by a restart.
    pub as_of: Hlc,
}

/// A subscription to everything that the asker lacks, in the answerer's log order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pull {
    /// What the asker has.
    pub have: VectorClock,
}

/// Opens a run of frames in a lane: the next frames are differences to these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamStart {
    /// One base for each replica whose frames may follow; one that is missing starts from nothing.
    pub bases: Vec<StreamBase>,
}

/// What the next frame of one replica continues from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamBase {
    /// Whose frames.
    pub replica: ReplicaId,
    /// The last sequence before the next frame.
    pub sequence: u64,
    /// The chain value there.
    pub chain: u64,
    /// The full `deps` there.
    pub deps: VectorClock,
}

/// Content sums of consecutive buckets, taken at one point of the sender's log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sums {
    /// What the sender had applied.
    pub clock: VectorClock,
    /// The bucket of the first sum; the others follow without gaps.
    pub first_bucket: u32,
    /// One sum for each bucket.
    pub sums: Vec<BucketSum>,
}

/// One bucket's content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BucketSum {
    /// The 128-bit sum over everything live in the bucket.
    pub sum: [u8; 16],
    /// The clock at which the bucket last changed.
    pub changed: VectorClock,
}

/// The extension of a [`Hello`] which says that its sender takes [`Message::Publish`](super::Message::Publish). Its value
/// is empty.
pub const EXTENSION_PUBLISH: u32 = 1;

/// What a client has published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// The namespace of the channel.
    pub kind: PublicationKind,
    /// The replica at which it was published.
    pub origin: ReplicaId,
    /// Grows with each publication of the origin, across its restarts too.
    pub number: u64,
    /// Replicas that have been sent it, the origin included: whoever knows another one passes it on.
    pub reached: Vec<ReplicaId>,
    /// The channel.
    pub channel: Bytes,
    /// The message itself.
    pub payload: Bytes,
}

/// The namespaces of channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PublicationKind {
    /// Of PUBLISH.
    Plain,
    /// Of SPUBLISH.
    Shard,
}

/// Why the sender will not talk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reject {
    /// For programs.
    pub code: RejectCode,
    /// For people.
    pub reason: String,
}

/// The kind of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "u16", into = "u16")]
#[non_exhaustive]
pub enum RejectCode {
    /// No protocol version in common.
    Protocol,
    /// Another cluster.
    Cluster,
    /// Not the node or region that was expected.
    Identity,
    /// Another running node already has this replica's identity.
    Clone,
    /// The histories of one replica differ.
    Fork,
    /// The definitions of keyspaces differ.
    Definitions,
    /// The peer is not a member, or no longer one.
    Membership,
    /// The peer lacks more than the log still holds.
    TooOld,
    /// The peer broke the protocol.
    Violation,
    /// The sender stops.
    Shutdown,
    /// A code that this version does not know.
    Other(u16),
}

impl From<u16> for RejectCode {
    fn from(code: u16) -> Self {
        match code {
            1 => Self::Protocol,
            2 => Self::Cluster,
            3 => Self::Identity,
            4 => Self::Clone,
            5 => Self::Fork,
            6 => Self::Definitions,
            7 => Self::Membership,
            8 => Self::TooOld,
            9 => Self::Violation,
            10 => Self::Shutdown,
            other => Self::Other(other),
        }
    }
}

impl From<RejectCode> for u16 {
    fn from(code: RejectCode) -> Self {
        match code {
            RejectCode::Protocol => 1,
            RejectCode::Cluster => 2,
            RejectCode::Identity => 3,
            RejectCode::Clone => 4,
            RejectCode::Fork => 5,
            RejectCode::Definitions => 6,
            RejectCode::Membership => 7,
            RejectCode::TooOld => 8,
            RejectCode::Violation => 9,
            RejectCode::Shutdown => 10,
            RejectCode::Other(other) => other,
        }
    }
}
