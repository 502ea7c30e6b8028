//! Messages to bytes and back.

use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};
use isles_clock::ReplicaId;
use serde::{Serialize, de::DeserializeOwned};

use super::{LimitError, Message, Publication, PublicationKind, limits};
use crate::class::{MAX_CONTROL_BYTES, MESSAGE_HEADER_BYTES, TrafficClass};

/// The version byte that this crate writes, and the only one that it reads.
pub const MESSAGE_VERSION: u8 = 1;

const HELLO: u8 = 1;
const ACK: u8 = 2;
const PULL: u8 = 3;
const PULL_STOP: u8 = 4;
const STREAM_START: u8 = 5;
const FRAME: u8 = 6;
const PROBE: u8 = 7;
const PROBE_REPLY: u8 = 8;
const SUMS: u8 = 9;
const REJECT: u8 = 10;
const PUBLISH: u8 = 11;

/// Why bytes are not a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes end before the message does.
    #[error("the message has {0} bytes, fewer than its header")]
    Truncated(usize),
    /// Written by a protocol that this node does not speak.
    #[error("message version {found} is not known here, this node reads version {MESSAGE_VERSION}")]
    Version {
        /// The version byte.
        found: u8,
    },
    /// A kind of message that this version does not know: a newer peer sent it.
    #[error("message tag {0} is not known here")]
    UnknownTag(u8),
    /// The body is not what its tag says.
    #[error("malformed {0} body")]
    Malformed(&'static str),
    /// Larger than the protocol allows.
    #[error(transparent)]
    Limit(#[from] LimitError),
}

impl DecodeError {
    /// True if the receiver may go on as if the message had not been sent: a newer peer said something
    /// that an older one need not know. Everything else is a violation of the protocol.
    pub const fn is_skippable(&self) -> bool {
        matches!(self, Self::UnknownTag(_))
    }
}

impl Message {
    /// The whole message as one buffer; a frame's bytes are copied once.
    ///
    /// Limits are not checked here: see [`Message::check`].
    pub fn encode(&self) -> Bytes {
        let (head, body) = self.encode_parts();
        if body.is_empty() {
            return head;
        }
        let mut whole = BytesMut::with_capacity(head.len() + body.len());
        whole.put_slice(&head);
        whole.put_slice(&body);
        whole.freeze()
    }

    /// The message as two buffers to be written one after the other. For a frame the second one is the
    /// frame itself, and for a publication what was published, not a copy; for everything else it is empty.
    pub fn encode_parts(&self) -> (Bytes, Bytes) {
        let head = match self {
            Self::Hello(body) => with_body(HELLO, body),
            Self::Ack(body) => with_body(ACK, body),
            Self::Pull(body) => with_body(PULL, body),
            Self::PullStop => Bytes::from_static(&[MESSAGE_VERSION, PULL_STOP]),
            Self::StreamStart(body) => with_body(STREAM_START, body),
            Self::Frame(frame) => {
                return (Bytes::from_static(&[MESSAGE_VERSION, FRAME]), frame.clone());
            }
            Self::Probe { nonce } => with_body(PROBE, nonce),
            Self::ProbeReply { nonce, wall_ms } => with_body(PROBE_REPLY, &(nonce, wall_ms)),
            Self::Sums(body) => with_body(SUMS, body),
            Self::Reject(body) => with_body(REJECT, body),
            Self::Publish(body) => {
                return (with_body(PUBLISH, &head_of(body)), body.payload.clone());
            }
        };
        (head, Bytes::new())
    }

    /// The message in `bytes`, which must hold exactly one. A frame shares the buffer: nothing is copied.
    ///
    /// # Errors
    /// See [`DecodeError`]; any bytes give either a message or an error.
    pub fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        let &[version, tag, ..] = bytes.as_ref() else {
            return Err(DecodeError::Truncated(bytes.len()));
        };
        if version != MESSAGE_VERSION {
            return Err(DecodeError::Version { found: version });
        }
        limits::bytes("the message", bytes.len(), tag_bytes_max(tag))?;
        let message = decode_body(tag, bytes.slice(MESSAGE_HEADER_BYTES..))?;
        message.check()?;
        Ok(message)
    }

    /// Whether every part of this message is within the protocol's limits.
    ///
    /// # Errors
    /// Names the part that is too large.
    pub fn check(&self) -> Result<(), LimitError> {
        limits::check(self)
    }

    /// [`Message::encode_parts`] after checking the limits of the message and of its lane.
    ///
    /// # Errors
    /// Names the part that is too large.
    pub fn encode_for(&self, class: TrafficClass) -> Result<(Bytes, Bytes), LimitError> {
        self.check()?;
        let (head, body) = self.encode_parts();
        let encoded_bytes = head.len() + body.len();
        limits::bytes("the message", encoded_bytes, class.message_bytes_max())?;
        if body.is_empty() {
            limits::bytes("the message", encoded_bytes, MAX_CONTROL_BYTES)?;
        }
        Ok((head, body))
    }
}

fn with_body(tag: u8, body: &impl Serialize) -> Bytes {
    let mut bytes = Vec::with_capacity(64);
    bytes.extend([MESSAGE_VERSION, tag]);
    postcard::to_extend(body, bytes)
        .expect("invariant: message bodies are plain data, and memory takes any number of bytes")
        .into()
}

/// A kind that is not known here was held to the limit of its lane, and need not be held to ours.
fn tag_bytes_max(tag: u8) -> usize {
    match tag {
        FRAME | PUBLISH => TrafficClass::Frames.message_bytes_max(),
        HELLO..=REJECT => MAX_CONTROL_BYTES,
        _ => usize::MAX,
    }
}

fn decode_body(tag: u8, body: Bytes) -> Result<Message, DecodeError> {
    Ok(match tag {
        HELLO => Message::Hello(parse("hello", &body)?),
        ACK => Message::Ack(parse("ack", &body)?),
        PULL => Message::Pull(parse("pull", &body)?),
        PULL_STOP => Message::PullStop,
        STREAM_START => Message::StreamStart(parse("stream start", &body)?),
        FRAME => Message::Frame(body),
        PROBE => Message::Probe {
            nonce: parse("probe", &body)?,
        },
        PROBE_REPLY => {
            let (nonce, wall_ms) = parse("probe reply", &body)?;
            Message::ProbeReply { nonce, wall_ms }
        }
        SUMS => Message::Sums(parse("sums", &body)?),
        REJECT => Message::Reject(parse("reject", &body)?),
        PUBLISH => Message::Publish(parse_publication(body)?),
        unknown => return Err(DecodeError::UnknownTag(unknown)),
    })
}

/// What lies before the published bytes: kind, origin, number, the replicas reached, the channel, and how many bytes
/// were published.
type PublicationHead<'p> = (
    PublicationKind,
    ReplicaId,
    u64,
    Cow<'p, [ReplicaId]>,
    Cow<'p, [u8]>,
    u64,
);

fn head_of(publication: &Publication) -> PublicationHead<'_> {
    (
        publication.kind,
        publication.origin,
        publication.number,
        Cow::Borrowed(&publication.reached),
        Cow::Borrowed(&publication.channel),
        publication.payload.len() as u64,
    )
}

/// What follows the published bytes belongs to newer versions.
fn parse_publication(body: Bytes) -> Result<Publication, DecodeError> {
    let malformed = || DecodeError::Malformed("publish");
    let (head, rest) =
        postcard::take_from_bytes::<PublicationHead<'_>>(&body).map_err(|_| malformed())?;
    let start = body.len() - rest.len();
    let (kind, origin, number, reached, channel, bytes) = head;
    let end = usize::try_from(bytes)
        .ok()
        .and_then(|bytes| start.checked_add(bytes))
        .filter(|end| *end <= body.len())
        .ok_or_else(malformed)?;
    Ok(Publication {
        kind,
        origin,
        number,
        reached: reached.into_owned(),
        channel: channel.into_owned().into(),
        payload: body.slice(start..end),
    })
}

/// Reads the fields that this version knows; what follows belongs to newer versions.
fn parse<T: DeserializeOwned>(name: &'static str, body: &[u8]) -> Result<T, DecodeError> {
    match postcard::take_from_bytes(body) {
        Ok((value, _appended)) => Ok(value),
        Err(_) => Err(DecodeError::Malformed(name)),
    }
}
