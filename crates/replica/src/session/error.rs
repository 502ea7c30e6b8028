//! Why a session ends, what the peer is told, and whether trying again can help.

use isles_clock::ReplicaId;
use isles_transport::message::MAX_REASON_BYTES;
use isles_transport::{Reject, RejectCode};

use super::hello::{PROTOCOL_MAX, PROTOCOL_MIN};
use crate::delivery::{Amnesia, Fork};
use crate::frame::FrameError;

/// Why a session ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The peer refused this node, and says why.
    #[error("the peer refused this node: {reason}")]
    Rejected {
        /// For programs.
        code: RejectCode,
        /// For people.
        reason: String,
    },
    /// No protocol in common.
    #[error(
        "one side speaks protocols {PROTOCOL_MIN} to {PROTOCOL_MAX}, the other {min} to {max}: upgrade the older node"
    )]
    Protocol {
        /// The peer's oldest.
        min: u16,
        /// The peer's newest.
        max: u16,
    },
    /// Another cluster.
    #[error(
        "one node belongs to cluster \"{ours}\", the other to \"{theirs}\": correct the peer list or the cluster name"
    )]
    Cluster {
        /// This node's.
        ours: String,
        /// The peer's.
        theirs: String,
    },
    /// The peer is not whom its certificate names.
    #[error(
        "the peer calls itself {said}, but its certificate is for {proven}: correct its configuration or certificate"
    )]
    Identity {
        /// What it has proved.
        proven: String,
        /// What it said.
        said: String,
    },
    /// This node has dialled itself.
    #[error("this node has dialled itself: remove its own address from its peer list")]
    Myself,
    /// Another node runs under this replica's identity.
    #[error(
        "node \"{node}\" runs with replica id {own}, which another node has too: one of the two data directories is a copy; stop that node and give it a new id with `isles identity renew`, or empty its data directory"
    )]
    OwnId {
        /// The identity.
        own: ReplicaId,
        /// The other node.
        node: String,
    },
    /// Another process runs under the peer's identity.
    #[error(
        "replica {replica} is connected from another process that still answers: one of the two data directories is a copy; stop that node and give it a new id with `isles identity renew`, or empty its data directory"
    )]
    Clone {
        /// The identity.
        replica: ReplicaId,
    },
    /// Two histories of one replica.
    #[error(
        "the histories of replica {replica} differ at sequence {sequence} (chain {ours} on one node, {theirs:016x} at \"{node}\"): a data directory was restored or copied and then written; nothing was applied; the node whose directory it was must start with an empty one beside its peers, what it alone holds has to be exported first"
    )]
    Fork {
        /// The peer.
        node: String,
        /// Whose histories.
        replica: ReplicaId,
        /// Where they differ.
        sequence: u64,
        /// The chain here.
        ours: String,
        /// The chain there.
        theirs: u64,
    },
    /// The peer knows more of this replica than it does itself.
    #[error(
        "\"{node}\" knows writes of replica {own} up to {known}, its own log ends at {remembered}: an older copy of its data directory was restored, or the end of its log was lost; stop it, give it a new id with `isles identity renew`, and start it"
    )]
    Amnesia {
        /// The peer.
        node: String,
        /// This replica.
        own: ReplicaId,
        /// What the peer knows.
        known: u64,
        /// What is here.
        remembered: u64,
    },
    /// The peer lacks entries that the log no longer holds.
    #[error(
        "\"{node}\" needs replica {replica} from sequence {next} on, the log begins at {floor}: it must rejoin from a snapshot"
    )]
    TooOld {
        /// The peer.
        node: String,
        /// Whose entries.
        replica: ReplicaId,
        /// The first one that it needs.
        next: u64,
        /// The first one that is left.
        floor: u64,
    },
    /// The peer broke the protocol.
    #[error("{node} broke the protocol: {what}")]
    Violation {
        /// The peer.
        node: String,
        /// What it did.
        what: String,
    },
    /// A frame that cannot be read.
    #[error("bad frame from the peer: {0}")]
    Frame(#[from] FrameError),
    /// The peer never said who it is.
    #[error("the peer said nothing for {waited_ms} ms")]
    Silent {
        /// How long.
        waited_ms: u64,
    },
    /// A newer connection to the same process has taken over.
    #[error("a newer connection to the same node has taken over")]
    Replaced,
    /// Both nodes dialled each other; the other connection is kept.
    #[error("the other of two simultaneous connections is kept")]
    Redundant,
    /// A frame was handed in although its lane had no room: a mistake of the driver.
    #[error("a frame was read from a lane that has no room")]
    Overrun,
}

/// What may help after a session has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Dialling again, after a while.
    Later,
    /// Dialling again helps only after somebody has changed something: try rarely.
    Rarely,
    /// Nothing: another connection serves.
    Never,
}

impl SessionError {
    /// Whether to dial again.
    pub fn retry(&self) -> Retry {
        match self {
            SessionError::Replaced | SessionError::Redundant | SessionError::Myself => Retry::Never,
            SessionError::Silent { .. } | SessionError::Overrun | SessionError::Frame(_) => {
                Retry::Later
            }
            SessionError::Rejected {
                code: RejectCode::Shutdown | RejectCode::Clone,
                ..
            } => Retry::Later,
            _ => Retry::Rarely,
        }
    }

    /// Whether this replica must not go on under its id: peers know another history of it, so that what it writes from
    /// now on can reach nobody, under numbers that stand for something else elsewhere.
    pub fn condemns(&self, id: ReplicaId) -> bool {
        match self {
            SessionError::Amnesia { own, .. } => *own == id,
            SessionError::Fork { replica, .. } => *replica == id,
            _ => false,
        }
    }

    /// Whether this node is left out until somebody mends it: what it writes reaches nobody through this peer, and what
    /// others write does not reach it.
    pub fn excludes(&self, id: ReplicaId) -> bool {
        match self {
            SessionError::OwnId { own, .. } => *own == id,
            SessionError::Rejected { code, .. } => {
                matches!(code, RejectCode::Clone | RejectCode::TooOld)
            }
            _ => self.condemns(id),
        }
    }

    /// What the peer is told, so that both logs show the reason.
    pub(super) fn reject(&self) -> Option<Reject> {
        let code = match self {
            SessionError::Protocol { .. } => RejectCode::Protocol,
            SessionError::Cluster { .. } => RejectCode::Cluster,
            SessionError::Identity { .. } | SessionError::Myself => RejectCode::Identity,
            SessionError::OwnId { .. } | SessionError::Clone { .. } => RejectCode::Clone,
            SessionError::Fork { .. } | SessionError::Amnesia { .. } => RejectCode::Fork,
            SessionError::TooOld { .. } => RejectCode::TooOld,
            SessionError::Violation { .. }
            | SessionError::Frame(_)
            | SessionError::Silent { .. } => RejectCode::Violation,
            SessionError::Rejected { .. } | SessionError::Replaced | SessionError::Redundant => {
                return None;
            }
            SessionError::Overrun => return None,
        };
        let mut reason = self.to_string();
        reason.truncate(reason.floor_char_boundary(MAX_REASON_BYTES));
        Some(Reject { code, reason })
    }

    pub(super) fn fork(node: &str, fork: Fork) -> SessionError {
        SessionError::Fork {
            node: node.to_owned(),
            replica: fork.replica,
            sequence: fork.sequence,
            ours: fork.ours.map_or_else(
                || "that no frame ends with".to_owned(),
                |ours| format!("{ours:016x}"),
            ),
            theirs: fork.theirs,
        }
    }

    pub(super) fn amnesia(own: ReplicaId, node: &str, amnesia: Amnesia) -> SessionError {
        let Amnesia { known, remembered } = amnesia;
        SessionError::Amnesia {
            node: node.to_owned(),
            own,
            known,
            remembered,
        }
    }

    pub(super) fn violation(node: &str, what: impl Into<String>) -> SessionError {
        SessionError::Violation {
            node: node.to_owned(),
            what: what.into(),
        }
    }
}
