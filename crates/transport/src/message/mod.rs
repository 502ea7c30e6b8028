//! What peers say to each other.
//!
//! A message is one version byte, one tag byte and a body. Bodies are postcard, except a frame's, which is
//! the sealed frame itself. Fields are only ever appended to a body, and what follows the fields that a
//! reader knows is skipped, so that an older node understands a newer one.

mod body;
mod codec;
mod limits;

pub use body::{
    Ack, BucketSum, ChainLink, EXTENSION_PUBLISH, Hello, Publication, PublicationKind, Pull,
    Reject, RejectCode, Role, StreamBase, StreamStart, Sums,
};
pub use codec::{DecodeError, MESSAGE_VERSION};
pub use limits::{
    LimitError, MAX_CHANNEL_BYTES, MAX_EXTENSION_BYTES, MAX_EXTENSIONS, MAX_NAME_BYTES,
    MAX_REASON_BYTES, MAX_REPLICAS, MAX_SUMS,
};

use bytes::Bytes;

/// One thing that a peer says.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Message {
    /// Who I am and what I hold: the first message each way.
    Hello(Hello),
    /// How far a replica has come; relayed for others too.
    Ack(Ack),
    /// Send me everything that I lack, from now on, until [`Message::PullStop`].
    Pull(Pull),
    /// End the pull: frames arrive directly again.
    PullStop,
    /// What the frames that follow in this lane continue from.
    StreamStart(StreamStart),
    /// A sealed frame, verbatim as it lies in the log.
    Frame(Bytes),
    /// Are you there? Answered with the same number.
    Probe {
        /// Chosen by the asker.
        nonce: u64,
    },
    /// The answer to [`Message::Probe`].
    ProbeReply {
        /// The asker's number.
        nonce: u64,
        /// The answerer's clock, in milliseconds since 1970.
        wall_ms: u64,
    },
    /// Content sums of some buckets, for the audit.
    Sums(Sums),
    /// What a client has published to a channel: for the clients of the receiver, never logged, and only to a peer whose
    /// hello has [`EXTENSION_PUBLISH`].
    Publish(Publication),
    /// I will not talk to you, because …; the sender closes the channel after it.
    Reject(Reject),
}

impl Message {
    /// What this message is called in logs and metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Hello(_) => "hello",
            Self::Ack(_) => "ack",
            Self::Pull(_) => "pull",
            Self::PullStop => "pull stop",
            Self::StreamStart(_) => "stream start",
            Self::Frame(_) => "frame",
            Self::Probe { .. } => "probe",
            Self::ProbeReply { .. } => "probe reply",
            Self::Sums(_) => "sums",
            Self::Publish(_) => "publish",
            Self::Reject(_) => "reject",
        }
    }
}
