//! Peer messages, their encoding, and the port they travel through.
//!
//! Two nodes that replicate to each other hold one [`Channel`]. A [`Message`] is what they say, a
//! [`TrafficClass`] is the lane it travels in, and a [`Transport`] opens and accepts channels.
//! [`MemoryTransport`] joins nodes inside one process; `isles-transport-quic` joins them over a network;
//! [`conformance`] holds both to the same behaviour.
//!
//! What this crate never knows: what a frame means (it carries the sealed bytes as they are), who should
//! talk to whom, sockets, certificates, and time.
//!
//! In reading order:
//! - [`class`](TrafficClass): the lanes and how large a message each may carry
//! - [`message`]: what peers say, and how it lies on the wire (drawn in `docs/format.md`, "Peer messages")
//! - [`port`]: the two traits and their errors
//! - [`memory`]: the in-process implementation, with links that can be cut and healed
//! - [`conformance`]: the suite that every implementation passes

mod class;
pub mod conformance;
pub mod memory;
pub mod message;
pub mod port;

pub use class::{MAX_CONTROL_BYTES, MAX_FRAME_BYTES, MESSAGE_SLACK_BYTES, TrafficClass};
pub use memory::{MemoryNetwork, MemoryTransport};
pub use message::{
    Ack, BucketSum, ChainLink, DecodeError, Hello, LimitError, Message, Publication,
    PublicationKind, Pull, Reject, RejectCode, Role, StreamBase, StreamStart, Sums,
};
pub use port::{
    AcceptError, Channel, ChannelError, ChannelStats, ConnectError, PeerIdentity, Refuser,
    Transport,
};
