//! The port: what a node needs from whatever carries its messages.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::{DecodeError, LimitError, Message, TrafficClass};

/// Opens channels to peers and accepts theirs.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Opens a channel to the node at `address` (`host:port`).
    ///
    /// When this returns, **both** sides have accepted each other's identity.
    async fn connect(&self, address: &str) -> Result<Arc<dyn Channel>, ConnectError>;

    /// Waits for the next peer that dials us and has been accepted.
    ///
    /// # Errors
    /// [`AcceptError::Refused`] describes one peer that was turned away, or that turned us away: log it
    /// and call again. [`AcceptError::Closed`] is final.
    async fn accept(&self) -> Result<Arc<dyn Channel>, AcceptError>;

    /// The address that this transport listens on.
    fn local_address(&self) -> SocketAddr;

    /// Closes every channel and stops accepting; waits until the peers have been told, as far as they
    /// can be reached.
    async fn close(&self);
}

/// One peer: four lanes each way, each in order and without loss while the channel lives.
#[async_trait]
pub trait Channel: Send + Sync {
    /// Sends `message` in the lane of `class`; waits while that lane is full, whatever the others do.
    ///
    /// Returning says that the message is on its way, not that it arrived. A call that is dropped before
    /// it returns may still deliver its message, whole, later.
    async fn send(&self, class: TrafficClass, message: Message) -> Result<(), ChannelError>;

    /// The next message of `class`. Dropping the call loses nothing.
    ///
    /// # Errors
    /// [`ChannelError::Decode`] concerns one message: the channel still works, and the next call returns
    /// the next message. Skip it if [`DecodeError::is_skippable`], otherwise close the channel.
    async fn receive(&self, class: TrafficClass) -> Result<Message, ChannelError>;

    /// Who the other side has proved to be.
    fn peer(&self) -> &PeerIdentity;

    /// Closes the channel; the peer sees `reason`.
    async fn close(&self, reason: &str);

    /// Waits until the channel is closed and says by whom and why. Returns the same text ever after.
    async fn closed(&self) -> String;

    /// Round-trip time and bytes so far.
    fn stats(&self) -> ChannelStats;
}

/// Who a peer has proved to be.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerIdentity {
    /// The cluster that its certificate is for.
    pub cluster: String,
    /// The node's name, unique in its cluster.
    pub node: String,
    /// The region that the node is in.
    pub region: String,
}

impl fmt::Display for PeerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} (region {}, cluster {})",
            self.node, self.region, self.cluster
        )
    }
}

/// A channel's figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChannelStats {
    /// Smoothed round-trip time; zero where there is none to measure.
    pub rtt: Duration,
    /// Bytes that left for this peer, headers and repeats included.
    pub bytes_sent: u64,
    /// Bytes that came from this peer, headers and repeats included.
    pub bytes_received: u64,
}

/// Why a channel could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address means nothing: fix the configuration.
    #[error("cannot use the peer address {address:?}: {problem}")]
    Address {
        /// The address as given.
        address: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Nobody answers there now: try again later.
    #[error("cannot reach the peer at {address}: {problem}")]
    Unreachable {
        /// The address that was dialled.
        address: String,
        /// What happened.
        problem: String,
    },
    /// One side turned the other away: trying again helps only after somebody changed something.
    #[error("refused by {by}: {reason}")]
    Refused {
        /// Who refused.
        by: Refuser,
        /// Why; the other side sees the same reason.
        reason: String,
    },
    /// This transport has been closed.
    #[error("the transport is closed")]
    Closed,
}

/// Why there is no new channel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// A peer dialled us, and one side turned the other away.
    #[error("connection from {address} refused by {by}: {reason}")]
    Refused {
        /// Where the peer dialled from.
        address: SocketAddr,
        /// Who refused.
        by: Refuser,
        /// Why; the other side sees the same reason.
        reason: String,
    },
    /// This transport has been closed: stop calling.
    #[error("the transport is closed")]
    Closed,
}

/// Which side turned the other away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refuser {
    /// This node refused the peer.
    ThisNode,
    /// The peer refused this node.
    Peer,
}

impl fmt::Display for Refuser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ThisNode => "this node",
            Self::Peer => "the peer",
        })
    }
}

/// What went wrong on an open channel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// The channel is gone: dial again.
    #[error("{0}")]
    Closed(String),
    /// We tried to send more than the protocol allows; nothing was sent.
    #[error("cannot send: {0}")]
    Limit(#[from] LimitError),
    /// One message could not be understood; the channel goes on.
    #[error("bad {class} message from the peer: {error}")]
    Decode {
        /// The lane it came in.
        class: TrafficClass,
        /// What is wrong with it.
        error: DecodeError,
    },
}
