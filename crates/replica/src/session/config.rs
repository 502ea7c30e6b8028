//! What a session is told when it begins.

use std::sync::Arc;

use isles_clock::ReplicaId;
use isles_transport::message::MAX_SUMS;
use isles_transport::{Hello, PeerIdentity, Role};

use super::audit::BUCKETS;
use super::feed::Origins;

/// The time, as the two clocks of a node show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds of a clock that never jumps; timers go by it.
    pub ms: u64,
    /// Milliseconds since 1970; promises go by it.
    pub wall_ms: u64,
}

/// Which end opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// This node.
    Dialed,
    /// The peer.
    Accepted,
}

/// What a session needs to know of its node and of its connection.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// A number that no other session of this process has.
    pub session: u64,
    /// Which end opened the connection.
    pub direction: Direction,
    /// The cluster's name.
    pub cluster: String,
    /// This node's name.
    pub node: String,
    /// This node's region.
    pub region: String,
    /// Whether this node takes writes.
    pub role: Role,
    /// Drawn when this process started.
    pub nonce: u64,
    /// Whom the connection's certificate names, where there is one.
    pub proven: Option<PeerIdentity>,
    /// Whose frames are sent to other leaders unasked, besides this replica's own: its followers', and those of its
    /// region's former leaders.
    pub serves: Vec<ReplicaId>,
    /// When things are done.
    pub timing: Timing,
}

/// When a session does what, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// A peer that has not said hello by then is given up.
    pub hello_ms: u64,
    /// A process that has not answered within [`PROBE_ROUND_TRIPS`](super::PROBE_ROUND_TRIPS) no longer runs; this is
    /// the greatest time that it is given, and what it is given while no round trip to it is known.
    pub probe_ms: u64,
    /// The least time that it is given.
    pub probe_min_ms: u64,
    /// The time between two looks at how far the peer's clock is from this one.
    pub skew_every_ms: u64,
    /// The least time between two own acks.
    pub ack_every_ms: u64,
    /// The greatest time between two own acks.
    pub ack_idle_ms: u64,
    /// The time between rounds of relayed acks.
    pub relay_every_ms: u64,
    /// Entries that are known to exist, and of whose writer nothing has arrived for so long, are asked for.
    pub pull_after_ms: u64,
    /// The time between two messages of the audit.
    pub audit_every_ms: u64,
    /// How many buckets one message of the audit covers; a divisor of the number of buckets.
    pub audit_buckets: u32,
}

const AUDIT_BUCKETS: u32 = 128;
const _: () = assert!(AUDIT_BUCKETS as usize <= MAX_SUMS && BUCKETS.is_multiple_of(AUDIT_BUCKETS));

impl Default for Timing {
    fn default() -> Self {
        Timing {
            hello_ms: 10_000,
            probe_ms: 3_000,
            probe_min_ms: 200,
            skew_every_ms: 10_000,
            ack_every_ms: 5,
            ack_idle_ms: 1_000,
            relay_every_ms: 200,
            pull_after_ms: 500,
            audit_every_ms: 500,
            audit_buckets: AUDIT_BUCKETS,
        }
    }
}

impl SessionConfig {
    /// Whose frames this node sends to the peer unasked. A follower in the same region gets everything from its leader,
    /// so that a frame crosses the distance between regions once.
    pub(super) fn direct_origins(&self, own: ReplicaId, hello: &Hello) -> Origins {
        if self.role == Role::Leader && hello.role == Role::Follower && hello.region == self.region
        {
            return Origins::All;
        }
        let origins: Arc<[ReplicaId]> = std::iter::once(own)
            .chain(self.serves.iter().copied())
            .collect();
        Origins::Only(origins)
    }
}
